version=v1.8.0
description="Versity S3 Gateway, an S3 server in front of a POSIX file system."
has_lock=true

source "${BASH_SOURCE[0]%/*}/../go.sh"

install() {
  [[ -x $cache/stores/versitygw/versitygw-$version ]] ||
    go_build "$cache/stores/versitygw/versitygw-$version" github.com/versity/versitygw "$version" \
      h1:au+wI+aybno/STsQiSm35Uu6Q6iK5MWReQxgO6SEMFc= ./cmd/versitygw
}

serve() {
  mkdir -p "$2/data" "$2/versions" "$2/iam"
  exec "$cache/stores/versitygw/versitygw-$version" --access admin --secret contract-secret \
    --port "127.0.0.1:$1" --iam-dir "$2/iam" posix --versioning-dir "$2/versions" "$2/data"
}
