version=5.2.0
description="S3Mock, Adobe's fake S3 server for tests."
# It makes such buckets, but passes over the lock that an upload asks for.
has_lock=true
keys="none"

s3mock_files="$(cd "${BASH_SOURCE[0]%/*}" && pwd)/s3mock"
source "${BASH_SOURCE[0]%/*}/../jars.sh"

install() {
  mkdir -p "$cache/stores"
  get_jars "$cache/stores/s3mock" "$s3mock_files/pom.xml"
}

# It takes another port for HTTPS, whatever one is free.
serve() {
  mkdir -p "$2/data"
  exec java -Xmx256m -cp "$cache/stores/s3mock/*" com.adobe.testing.s3mock.S3MockApplication \
    --server.address=127.0.0.1 --server.port=0 --http.port="$1" \
    --spring.main.allow-bean-definition-overriding=true \
    --spring.main.sources="file:$s3mock_files/loopback.xml" \
    --com.adobe.testing.s3mock.store.root="$2/data"
}
