#!/usr/bin/env bash
# The main job on real scanner output: builds the program, makes keys, seals a bundle with its
# report into a local archive, and verifies it as an auditor would. May be run again and again:
# each run adds a bundle to the chain.
set -euo pipefail
cd "$(dirname "$0")"
here=$PWD

cargo build --locked --manifest-path ../../Cargo.toml --bin affidavit
target=$(cargo metadata --locked --no-deps --format-version 1 --manifest-path ../../Cargo.toml |
  sed -n 's/.*"target_directory":"\([^"]*\)".*/\1/p')
affidavit="$target/debug/affidavit"

if [ ! -e keys/log.pem ]; then
  "$affidavit" init . --keys-only --origin evidence.example.com/payments-shop
fi
"$affidavit" run --config affidavit.yaml
echo
receipt=$(ls receipts-kept/*.txt 2>/dev/null | tail -1 || true)
# A receipt kept outside the archive pins everything before it. The first run has none yet, and
# the verifier says so.
"$affidavit" verify archive --root keys/root.fingerprint --replay ${receipt:+--pin "$receipt"}
mkdir -p receipts-kept && cp archive/receipts/*.txt receipts-kept/
echo
bundle=$(sed 's/.*"subject":\[{"digest":{"sha256":"\([0-9a-f]*\)".*/\1/' "$(ls archive/log/*[0-9].json | tail -1)")
echo "The report: $here/archive/bundles/$bundle/report.pdf"
