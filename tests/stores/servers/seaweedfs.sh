version=4.48
description="SeaweedFS, an object store, with its S3 gateway."
has_lock=true

seaweedfs_installer="$(cd "${BASH_SOURCE[0]%/*}/../../.." && pwd)/.ci/seaweedfs"

# .ci/seaweedfs pins it too, and puts it where the project's other tests look for it.
install() {
  "$seaweedfs_installer" >/dev/null &&
    [[ $("$cache/weed/bin/weed" version 2>/dev/null) == *" $version "* ]]
}

# It takes three more ports, and the one 10000 above each.
serve() {
  mkdir -p "$2/data"
  cd "$2"
  cat >s3.json <<'END'
{ "identities": [ {
  "name": "admin",
  "credentials": [ { "accessKey": "admin", "secretKey": "contract-secret" } ],
  "actions": ["Admin", "Read", "Write", "List", "Tagging"]
} ] }
END
  # Without one the server knows no encryption by its own keys.
  printf '[s3.sse]\nkek = "%s"\n' \
    000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f >security.toml
  local others master volume filer
  others=$(seaweedfs_ports)
  read -r master volume filer <<<"$others"
  exec "$cache/weed/bin/weed" server -dir=data -ip=127.0.0.1 -ip.bind=127.0.0.1 \
    -master.telemetry=false -volume.max="${seaweedfs_volumes:-50}" -master.volumeSizeLimitMB=64 \
    -filer -s3 -s3.config=s3.json -s3.port.iceberg=0 -s3.port.lance=0 \
    -master.port="$master" -volume.port="$volume" -filer.port="$filer" \
    -s3.port="$1" -s3.port.grpc="$(seaweedfs_ports | cut -d' ' -f1)"
}

# Three ports that are free, and so is the one 10000 above each.
seaweedfs_ports() {
  python3 - <<'END'
import socket

held, ports = [], []
while len(ports) < 3:
    low, high = socket.socket(), socket.socket()
    held += [low, high]
    low.bind(("127.0.0.1", 0))
    port = low.getsockname()[1]
    try:
        high.bind(("127.0.0.1", port + 10000))
        ports.append(port)
    except (OSError, OverflowError):
        pass
print(*ports)
END
}
