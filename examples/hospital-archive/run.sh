#!/usr/bin/env bash
# A hospital's archive for HIPAA: seven years of quarterly runs, payloads that are removed after six years
# by a statement that is sealed first, and the report on the six years that are kept.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
affidavit=$("$here/../program.sh")
work=${1:-$here/work}
rm -rf "$work" && mkdir -p "$work" && cd "$work"

cp -r "$here/../quickstart/manifests" deploy && rm deploy/kyverno-policies.yaml
cp "$here/affidavit.yaml" .
"$affidavit" init . --keys-only --origin evidence.example.org/records --valid-days 3650 --now 2020-01-01T00:00:00Z >/dev/null

for year in 2020 2021 2022 2023 2024 2025 2026; do
  for quarter in 01 04 07 10; do
    "$affidavit" run --now "$year-$quarter-01T02:00:00Z" --quiet --output json >last-run.json
  done
done
jq -r .head last-run.json >head.txt
jq -r '"payloads removed by the last run: \(.pruned)"' last-run.json

# The whole chain from its first day verifies; of what is gone a sealed statement says why.
"$affidavit" verify archive --root keys/root.fingerprint --pin head.txt
"$affidavit" report archive --period hipaa --root keys/root.fingerprint --now 2026-10-02T00:00:00Z \
  --out six-years.pdf --output json >six-years.json
jq -r '"\(.label): runs \(.runs | length) of \(.expected)"' six-years.json
echo "The report: $work/six-years.pdf"
