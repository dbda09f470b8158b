#!/usr/bin/env bash
# Prints where the program is: $AFFIDAVIT, or what cargo builds from this checkout.
set -euo pipefail
if [ -n "${AFFIDAVIT:-}" ]; then
  echo "$AFFIDAVIT"
  exit
fi
manifest="$(dirname "$0")/../Cargo.toml"
cargo build --locked --quiet --manifest-path "$manifest" --bin affidavit
target=$(cargo metadata --locked --no-deps --format-version 1 --manifest-path "$manifest" |
  sed -n 's/.*"target_directory":"\([^"]*\)".*/\1/p')
echo "$target/debug/affidavit"
