#!/usr/bin/env bash
# A payment platform's quarter for PCI DSS: thirteen weekly runs over its own manifests, of which one does
# not take place; a failure that is mended, one that is waived; and the report on the quarter.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
affidavit=$("$here/../program.sh")
work=${1:-$here/work}
rm -rf "$work" && mkdir -p "$work" && cd "$work"

cp -r "$here/../quickstart/manifests" deploy && rm deploy/kyverno-policies.yaml
cp "$here/affidavit.yaml" "$here/waivers.yaml" .
"$affidavit" init . --keys-only --origin evidence.example.com/payments --valid-days 365 --now 2026-07-01T00:00:00Z >/dev/null

for day in 07-06 07-13 07-20 07-27 08-03 08-10 08-24 08-31 09-07 09-14 09-21 09-28; do
  # In August nothing uses a node's network and processes any more; on the 17th the runner was down.
  [ "$day" != 08-24 ] || sed -i 's/hostNetwork: true/hostNetwork: false/; s/hostPID: true/hostPID: false/' deploy/*.yaml
  # In September an exception is approved.
  [ "$day" != 09-07 ] || sed -i 's/^# waivers:/waivers:/' affidavit.yaml
  "$affidavit" run --now "2026-${day}T02:00:00Z" --quiet --output json >last-run.json
done
# What the runs left behind, outside the archive: it pins everything up to here.
jq -r .head last-run.json >head.txt

"$affidavit" report archive --period 2026-Q3 --root keys/root.fingerprint --now 2026-10-01T08:00:00Z \
  --framework pci-dss --out quarter.pdf --output json >quarter.json
"$affidavit" verify archive --root keys/root.fingerprint --pin head.txt --replay
jq -r '"runs \(.runs | length) of \(.expected), missed \(.missed)",
  (.frameworks[] | "\(.key): failures opened \(.opened), fixed \(.fixed), ended otherwise \(.ended_otherwise), open \(.open)")' quarter.json
echo "The report: $work/quarter.pdf"
