version=4.1.0
description="S3Proxy, an S3 server in front of a file system."
has_lock=false

s3proxy_pom="$(cd "${BASH_SOURCE[0]%/*}" && pwd)/s3proxy/pom.xml"
source "${BASH_SOURCE[0]%/*}/../jars.sh"

install() {
  mkdir -p "$cache/stores"
  get_jars "$cache/stores/s3proxy" "$s3proxy_pom"
}

serve() {
  mkdir -p "$2/data"
  cat >"$2/s3proxy.conf" <<END
s3proxy.endpoint=http://127.0.0.1:$1
s3proxy.authorization=aws-v4
s3proxy.identity=admin
s3proxy.credential=contract-secret
jclouds.provider=filesystem-nio2
jclouds.filesystem.basedir=$2/data
END
  # Without one it logs all that its libraries do.
  cat >"$2/logback.xml" <<END
<configuration>
  <appender name="out" class="ch.qos.logback.core.ConsoleAppender">
    <encoder><pattern>%d %level %logger %msg%n</pattern></encoder>
  </appender>
  <root level="INFO"><appender-ref ref="out"/></root>
</configuration>
END
  exec java -Xmx256m -Dlogback.configurationFile="$2/logback.xml" \
    -cp "$cache/stores/s3proxy/*" org.gaul.s3proxy.Main --properties "$2/s3proxy.conf"
}
