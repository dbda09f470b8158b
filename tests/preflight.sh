# Sourced by the two commands of README.md, at the top of the clone: says in one sentence what would make the
# build fail, before the minutes that it takes.

stop() {
  printf '%s\n' "$1" >&2
  exit 2
}

# Sets `target`, the target directory, and `is_first`, whether nothing is built there yet. The argument is how
# many MiB a first build needs there.
preflight() {
  local needed=$1 wanted found free probe platform

  if ! command -v cargo >/dev/null || ! command -v rustc >/dev/null; then
    stop 'Rust is missing: install it with rustup, or put cargo and rustc on the PATH.'
  fi
  wanted=$(sed -n 's/^rust-version = "\(.*\)"/\1/p' Cargo.toml)
  found=$(rustc --version | cut -d ' ' -f 2)
  if [ "$(printf '%s\n' "$wanted" "${found%%-*}" | sort -V | head -n 1)" != "$wanted" ]; then
    stop "Rust $found is too old: update it to $wanted or newer (rustup update)."
  fi

  target=$(cargo metadata --locked --no-deps --offline --format-version 1 |
    sed -n 's/.*"target_directory":"\([^"]*\)".*/\1/p')
  is_first=true
  if [ -d "$target/debug/deps" ]; then is_first=false; fi
  if ! mkdir -p "$target" 2>/dev/null || ! [ -w "$target" ]; then
    stop "$target cannot be written to: clone to a folder that is yours, or name one in CARGO_TARGET_DIR."
  fi
  free=$(df -Pk "$target" | awk 'NR == 2 { print int($4 / 1024) }')
  if $is_first && [ "$free" -lt "$needed" ]; then
    stop "$target has $free MiB free and the build needs $needed: make room, or name another folder in CARGO_TARGET_DIR."
  fi

  probe=$(mktemp -d)
  printf '#include <stdlib.h>\nint main(void) { return EXIT_SUCCESS; }\n' >"$probe/probe.c"
  if ! cc "$probe/probe.c" -o "$probe/probe" 2>/dev/null; then
    rm -r "$probe"
    stop 'A C compiler and linker (cc) is missing: install one (Debian: apt-get install gcc libc6-dev).'
  fi
  rm -r "$probe"

  # No network is needed when all crates are in cargo's cache.
  platform=$(rustc -vV | sed -n 's/^host: //p')
  if ! cargo fetch --locked --offline --target "$platform" >/dev/null 2>&1; then
    echo 'Downloading the crates …' >&2
    if ! cargo fetch --locked --target "$platform"; then
      stop 'The crates could not be downloaded: check the network, or the proxy in HTTPS_PROXY, and run this again.'
    fi
  fi
}
