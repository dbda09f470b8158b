version=3.7.1
description="s3rver, a fake S3 server for Node."
has_lock=false
# It asks for a known access key but checks no signature of version 4.
keys="none"

# `npm install --package-lock-only` makes the list of what it needs.
s3rver_package="$(cd "${BASH_SOURCE[0]%/*}" && pwd)/s3rver"

install() {
  local folder="$cache/stores/s3rver"
  cmp -s "$s3rver_package/package-lock.json" "$folder/installed.json" && return
  rm -rf "$folder"
  mkdir -p "$folder"
  cp "$s3rver_package"/package*.json "$folder"
  (cd "$folder" && nice npm ci --silent --ignore-scripts --no-audit --no-fund) &&
    cp "$s3rver_package/package-lock.json" "$folder/installed.json"
}

serve() {
  mkdir -p "$2/data"
  exec node "$s3rver_package/serve.js" "$cache/stores/s3rver" "$1" "$2/data"
}
