version=v0.0.0-20260212201848-7aac2a2c5b7c
description="MinIO, an object store, from the last source of its community edition."
has_lock=true

source "${BASH_SOURCE[0]%/*}/../go.sh"

install() {
  [[ -x $cache/stores/minio/minio-$version ]] ||
    go_build "$cache/stores/minio/minio-$version" github.com/minio/minio "$version" \
      h1:/qdoYujxF5MBLDMVLeiYJ/7fBa1HikX39Dvzb9Ji8pA= .
}

serve() {
  mkdir -p "$2/data" "$2/config"
  export MINIO_ROOT_USER=admin MINIO_ROOT_PASSWORD=contract-secret MINIO_BROWSER=off
  export MINIO_UPDATE=off MINIO_CALLHOME_ENABLE=off
  exec "$cache/stores/minio/minio-$version" --config-dir "$2/config" server \
    --address "127.0.0.1:$1" "$2/data"
}
