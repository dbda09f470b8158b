# Sourced by the two commands of README.md, at the top of the clone: says in one sentence what would make the
# build fail, before the minutes that it takes.

stop() {
  printf '%s\n' "$1" >&2
  exit 2
}

# The first error of cargo's, and its last cause.
complaint() {
  awk '/^error/ && !first { first = $0; sub(/^error: */, "", first) } NF { last = $0 }
    END { sub(/^ +/, "", last); if (!first || first == last || last ~ /^error/) print last; else print first ": " last }' <<<"$1"
}

# Sets `target`, the target directory, and `is_first`, whether what is to be built was never built there. The
# arguments are the file that the build makes last, below the target directory and as a pattern, and how many MiB
# the target directory grows to.
preflight() {
  local last=$1 needed=$2 wanted found used free probe platform said

  if ! command -v cargo >/dev/null || ! command -v rustc >/dev/null; then
    stop 'Rust is missing: install it from https://rustup.rs, or put cargo and rustc on the PATH.'
  fi
  if ! found=$(rustc --version 2>/dev/null) || ! cargo --version >/dev/null 2>&1; then
    stop "Rust does not run ($(rustc --version 2>&1 | head -n 1)): install a toolchain (rustup toolchain install stable)."
  fi
  wanted=$(sed -n 's/^rust-version = "\(.*\)"/\1/p' Cargo.toml)
  found=$(cut -d ' ' -f 2 <<<"$found")
  if [ "$(printf '%s\n' "$wanted" "${found%%-*}" | sort -V | head -n 1)" != "$wanted" ]; then
    stop "Rust $found is too old: this needs $wanted or newer (rustup update, or install it from https://rustup.rs)."
  fi

  if ! probe=$(mktemp -d 2>/dev/null) || ! printf '#include <stdlib.h>\nint main(void) { return EXIT_SUCCESS; }\n' 2>/dev/null >"$probe/probe.c"; then
    stop "The folder for temporary files, ${TMPDIR:-/tmp}, cannot be written to: make room there, or set TMPDIR to another one."
  fi
  if ! said=$(cc "$probe/probe.c" -o "$probe/probe" 2>&1); then
    rm -r "$probe"
    stop "There is no working C compiler (cc: $(head -n 1 <<<"$said")): install one (Debian: apt-get install gcc libc6-dev)."
  fi
  rm -r "$probe"

  if ! said=$(cargo metadata --locked --no-deps --offline --format-version 1 2>&1); then
    stop "cargo does not accept its settings: $(complaint "$said")."
  fi
  target=$(sed -n 's/.*"target_directory":"\([^"]*\)".*/\1/p' <<<"$said")
  case $target in
  *\\* | '') stop 'The path of the target directory holds a quote, a backslash or a line end: clone elsewhere, or set CARGO_TARGET_DIR.' ;;
  esac
  if ! mkdir -p "$target" 2>/dev/null || ! [ -w "$target" ]; then
    stop "$target cannot be written to: clone into a folder that you can write to, or set CARGO_TARGET_DIR to one."
  fi
  is_first=true
  if compgen -G "$target/$last" >/dev/null; then is_first=false; fi
  # Files may go away meanwhile, and what cannot be read counts for nothing.
  used=$({ du -sm "$target" 2>/dev/null || true; } | cut -f 1)
  free=$(df -Pk "$target" | awk 'NR == 2 { print int($4 / 1024) }')
  # What is built again needs some room as well.
  needed=$((needed > used + 300 ? needed - used : 300))
  if [ "$free" -lt "$needed" ]; then
    stop "$target has $free MiB free and the build needs about $needed: make room, or set CARGO_TARGET_DIR to another folder."
  fi

  # No network is needed when all crates are in cargo's cache.
  platform=$(rustc -vV | sed -n 's/^host: //p')
  if ! cargo fetch --locked --offline --target "$platform" >/dev/null 2>&1; then
    echo 'Downloading the crates …' >&2
    if ! said=$(cargo fetch --locked --quiet --target "$platform" 2>&1); then
      stop "cargo could not fetch the crates ($(complaint "$said")): check the network, the proxy in HTTPS_PROXY, and cargo's own settings."
    fi
  fi
}
