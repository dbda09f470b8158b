#!/usr/bin/env bash
# A hand-over to an auditor who may install nothing and has no network: one file, a head by another way,
# a web page that verifies, single findings with their proof, and a sample that both sides draw alike.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
affidavit=$("$here/../program.sh")
work=${1:-$here/work}
rm -rf "$work" && mkdir -p "$work/ours" "$work/auditor" && cd "$work/ours"

# ---- Our side: two runs on real scanner output.
cp -r "$here/../quickstart/"{affidavit.yaml,inputs,waivers.yaml,attestations.yaml} .
"$affidavit" init . --keys-only --origin evidence.example.com/payments-shop --now 2026-11-24T00:00:00Z >/dev/null
for at in 2026-11-24T02:00:00Z 2026-11-25T02:00:00Z; do
  "$affidavit" run --now "$at" --quiet --output json >last-run.json
done
fingerprint=$(cat keys/root.fingerprint)
jq -r .head last-run.json >../auditor/head.txt  # by another way than the medium
"$affidavit" bundle export archive --file ../auditor/evidence.tar
"$affidavit" page --file ../auditor/verify.html
finding=$(grep -ho '"finding/[0-9]*"' archive/bundles/*/items.jsonl | tail -1 | tr -d '"')
"$affidavit" disclose archive --item "$finding" --file ../auditor/finding.json

# ---- The auditor's side: an empty network where the system allows it.
cd ../auditor
offline=()
if unshare --net --map-root-user true 2>/dev/null; then offline=(unshare --net --map-root-user); fi
"${offline[@]}" "$affidavit" verify evidence.tar --root "$fingerprint" --pin head.txt --replay
"${offline[@]}" "$affidavit" verify-proof finding.json --root "$fingerprint" --pin head.txt --now 2026-11-25T08:00:00Z
"${offline[@]}" "$affidavit" sample evidence.tar --n 5 --seed 2026-11-25 --now 2026-11-25T08:00:00Z
# Nothing of ours is needed for the files themselves.
mkdir plain && tar -xf evidence.tar -C plain
for folder in plain/bundles/*/; do (cd "$folder" && sha256sum --strict --quiet -c SHA256SUMS); done
echo "sha256sum agrees. In a browser, from disk: $PWD/verify.html"
