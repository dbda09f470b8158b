version=5.2.5
description="Moto, an emulator of AWS in memory, in its server mode."
has_lock=true
# It reads the access key of a request but checks no signature.
keys="none"

# `pip-compile --generate-hashes` of moto[server,s3] makes this list.
moto_requirements="$(cd "${BASH_SOURCE[0]%/*}" && pwd)/moto/requirements.txt"

install() {
  local folder="$cache/stores/moto"
  cmp -s "$moto_requirements" "$folder/installed.txt" && return
  python3 -m venv --clear "$folder" &&
    nice "$folder/bin/pip" install --quiet --disable-pip-version-check --no-deps \
      --only-binary :all: --require-hashes --requirement "$moto_requirements" &&
    cp "$moto_requirements" "$folder/installed.txt"
}

serve() {
  mkdir -p "$2"
  cd "$2"
  exec "$cache/stores/moto/bin/moto_server" --host 127.0.0.1 --port "$1"
}
