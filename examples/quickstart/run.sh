#!/usr/bin/env bash
# The main job on real scanner output: builds the program, makes keys, seals a bundle with its
# report into a local archive, and verifies it as an auditor would. May be run again and again:
# each run adds a bundle to the chain.
set -euo pipefail
cd "$(dirname "$0")/../.."
. tests/preflight.sh
preflight debug/affidavit 2400
here=$PWD/examples/quickstart
if ! [ -w "$here" ]; then
  stop "$here cannot be written to, and the archive goes there: clone into a folder that you can write to."
fi

if $is_first; then
  echo 'Building affidavit and its dependencies: about four minutes on two cores, once.' >&2
fi
# Without S3 and AWS KMS, which take long to compile and are not needed here.
CARGO_INCREMENTAL=0 cargo build --locked --no-default-features --features pipeline --bin affidavit
affidavit="$target/debug/affidavit"

cd "$here"
if [ ! -e keys/log.pem ]; then
  "$affidavit" init . --keys-only --origin evidence.example.com/payments-shop
fi
echo 'Reading the reports of Trivy and Kyverno, sealing them, rendering the PDF …' >&2
"$affidavit" run --config affidavit.yaml
echo
receipt=$(ls receipts-kept/*.txt 2>/dev/null | tail -n 1 || true)
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
