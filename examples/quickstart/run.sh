#!/usr/bin/env bash
# The main job on real scanner output: builds the program, makes keys, seals a bundle with its
# report into a local archive, and verifies it as an auditor would. May be run again and again:
# each run adds a bundle to the chain.
[ -n "${BASH_VERSION:-}" ] || { echo 'Run this with bash.' >&2; exit 2; }
set -euo pipefail
cd "$(dirname "$(readlink -f "$0")")/../.."
. tests/preflight.sh
[ "$#" -eq 0 ] || stop "examples/quickstart/run.sh takes no arguments, and was given $1."
preflight debug/affidavit 2400
here=$PWD/examples/quickstart
if ! [ -w "$here" ]; then
  stop "$here cannot be written to, and the archive goes there: clone into a folder that you can write to."
fi

# Keys, archive and receipts belong together; the fingerprint is the last that is made of the keys.
cd "$here"
if { [ -e keys ] && ! [ -s keys/root.fingerprint ]; } || { [ -e receipts-kept ] && ! [ -e archive ]; } ||
  { [ -e archive ] && ! [ -e keys ]; }; then
  stop "keys, archive and receipts-kept in $here do not belong together any more: to start afresh, rm -r all three."
fi
cd ../..

if $is_first; then
  echo 'Building affidavit and its dependencies: about four minutes on two cores, once.' >&2
fi
# Without S3 and AWS KMS, which take long to compile and are not needed here.
# The settings of cargo may put the program elsewhere than the target directory's `debug`.
affidavit=$(CARGO_INCREMENTAL=0 cargo build --locked --no-default-features --features pipeline --bin affidavit \
  --message-format=json-render-diagnostics | sed -n 's/.*"executable":"\([^"]*\)".*/\1/p' | tail -n 1)

cd "$here"
if [ ! -e keys ]; then
  "$affidavit" init . --keys-only --origin evidence.example.com/payments-shop || { rm -rf keys; exit 3; }
fi
echo 'Reading the reports of Trivy and Kyverno, sealing them, rendering the PDF …' >&2
"$affidavit" run --config affidavit.yaml
echo
receipt=
for kept in receipts-kept/*.txt; do if [ -s "$kept" ]; then receipt=$kept; fi; done
# A receipt kept outside the archive pins everything before it.
if [ -z "$receipt" ]; then
  echo 'The warning below is expected the first time: no receipt has been kept outside the archive yet.'
fi
"$affidavit" verify archive --root keys/root.fingerprint --replay ${receipt:+--pin "$receipt"}
mkdir -p receipts-kept && cp archive/receipts/*.txt receipts-kept/
echo
bundle=$(sed 's/.*"subject":\[{"digest":{"sha256":"\([0-9a-f]*\)".*/\1/' "$(ls archive/log/*[0-9].json | tail -n 1)")
echo "The report: $here/archive/bundles/$bundle/report.pdf"
echo 'Look at its second page first: how each standard stands and what needs a decision. What is not satisfied there'
echo 'is what the scanners found in the demonstration cluster.'
echo 'examples/quickstart/README.md says what was scanned and what else is worth a look.'
