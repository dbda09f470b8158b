#!/usr/bin/env bash
# A retailer's fleet: a shop on the web and three stores write to one bucket, each under its own prefix and
# with its own keys. Every night their archives are rolled up into one bundle and one report. One store
# misses a night, and then comes back with a history that is not the one that was seen.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
affidavit=$("$here/../program.sh")
work=${1:-$here/work}
rm -rf "$work" && mkdir -p "$work/fleet" && cd "$work"

run() { (cd "$1" && "$affidavit" run --now "$2" --quiet --output json >last-run.json) || [ $? -eq 4 ]; }

for cluster in web-shop store-012 store-017 store-023; do
  mkdir -p "$cluster/deploy"
  sed "s/CLUSTER/$cluster/" "$here/cluster.yaml" >"$cluster/affidavit.yaml"
  cp "$here/../quickstart/manifests/"*.yaml "$cluster/deploy" && rm "$cluster/deploy/kyverno-policies.yaml"
  (cd "$cluster" && "$affidavit" init . --keys-only --origin "evidence.example.com/$cluster" --now 2026-11-20T00:00:00Z) >/dev/null
  # What somebody who runs the cluster gives to who rolls up the fleet: where it writes, and its root key.
  echo "- { name: $cluster, uri: ../bucket/$cluster, roots: [\"$(cat "$cluster/keys/root.fingerprint")\"] }" >>fleet/clusters.yaml
done
# The stores have mended what the shop has not.
sed -i 's/hostNetwork: true/hostNetwork: false/; s/hostPID: true/hostPID: false/; s/privileged: true/privileged: false/' store-*/deploy/*.yaml
cp "$here/affidavit.yaml" fleet/
(cd fleet && "$affidavit" init . --keys-only --origin evidence.example.com/all-stores --now 2026-11-20T00:00:00Z) >/dev/null

for day in 23 24 25; do
  for cluster in web-shop store-012 store-017 store-023; do
    [ "$day $cluster" != '24 store-017' ] || continue
    # The store's archive was lost, and somebody began a new one.
    [ "$day $cluster" != '25 store-017' ] || rm -rf bucket/store-017
    run "$cluster" "2026-11-${day}T02:00:00Z"
  done
  echo "== the night of 2026-11-$day"
  (cd fleet && "$affidavit" fleet --now "2026-11-${day}T04:00:00Z" --quiet --output json >last-run.json) || [ $? -eq 4 ]
  jq -r '.clusters[] | "\(.cluster) is \(.state)  \(.detail)"' fleet/last-run.json
done

cd fleet
jq -r .run.head last-run.json >../head.txt
# What the fleet seals is a chain like any other.
"$affidavit" verify ../bucket/all-stores --root keys/root.fingerprint --pin ../head.txt --replay
# It pins every cluster: a cluster's archive is held against the head that the fleet saw.
"$affidavit" fleet show ../bucket/all-stores --cluster web-shop --head >../web-shop.txt
"$affidavit" verify ../bucket/web-shop --root ../web-shop/keys/root.fingerprint --pin ../web-shop.txt
# How one control stands in one cluster, provable without the rest.
item=$(grep -h '"check":"fleet:pci-dss@4.0.1/2.2.1"' ../bucket/all-stores/bundles/*/items.jsonl | grep -o '"finding/[0-9]*"' | head -1 | tr -d '"')
"$affidavit" disclose ../bucket/all-stores --item "$item" --file ../one-control.json
"$affidavit" report ../bucket/all-stores --root keys/root.fingerprint --out ../fleet.pdf
# The nights together: which cluster was in order how often, and how each control stood over time.
"$affidavit" report ../bucket/all-stores --root keys/root.fingerprint --from 2026-11-23 --to 2026-11-25 \
  --out ../nights.pdf --now 2026-11-26T00:00:00Z --output json >../nights.json
echo "The reports: $work/fleet.pdf, $work/nights.pdf"
