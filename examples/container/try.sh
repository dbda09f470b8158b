#!/usr/bin/env bash
# Runs the image as a cluster would: as a user who is not root, on a root file system that it cannot write
# to, with nothing in it but the image. Seals the quickstart's evidence and verifies it.
#   examples/container/try.sh IMAGE.tar
set -euo pipefail
image=$(realpath "$1")
examples=$(cd "$(dirname "$0")/.." && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir "$work/image" "$work/root"
tar -xf "$image" -C "$work/image"
# Every blob is what its name says.
(cd "$work/image/blobs/sha256" && for blob in *; do echo "$blob  $blob"; done | sha256sum --strict --quiet -c)
blob() { echo "$work/image/blobs/sha256/${1#sha256:}"; }
manifest=$(blob "$(jq -r '.manifests[0].digest' "$work/image/index.json")")
config=$(blob "$(jq -r .config.digest "$manifest")")
layer=$(blob "$(jq -r '.layers[0].digest' "$manifest")")
[ "sha256:$(gzip -dc "$layer" | sha256sum | cut -d ' ' -f 1)" = "$(jq -r '.rootfs.diff_ids[0]' "$config")" ]
tar -xzf "$layer" -C "$work/root"
user=$(jq -r .config.User "$config")
[ "$user" = 65532:65532 ]

# A volume, and what every runtime gives: /dev. The root file system itself cannot be written to.
mkdir "$work/volume" "$work/root/dev"
mkdir "$work/volume/work"
cp -r "$examples/quickstart/"{affidavit.yaml,inputs,waivers.yaml,attestations.yaml} "$work/volume/work"
echo '127.0.0.1 store.example.com' >"$work/root/etc/hosts"
chmod -R a+rwX "$work/volume" && chmod 0755 "$work"
isolate=(unshare --mount) enter=(chroot --userspec="$user")
if [ "$(id -u)" != 0 ]; then
  isolate+=(--user --map-root-user) enter=(chroot)
fi
as_pod() {
  "${isolate[@]}" bash -euc '
    root=$1 volume=$2; shift 2
    mount --bind "$root" "$root"
    mount --rbind /dev "$root/dev"
    mount --bind "$volume" "$root/tmp"
    mount -o remount,bind,ro "$root"
    exec env -i AWS_ACCESS_KEY_ID=x AWS_SECRET_ACCESS_KEY=x "$@"' pod "$work/root" "$work/volume" \
    "$(command -v chroot)" "${enter[@]:1}" "$work/root" /affidavit "$@"
}
as_pod init /tmp/work --keys-only --origin evidence.example.com/payments-shop --now 2026-11-24T00:00:00Z >/dev/null
as_pod run --config /tmp/work/affidavit.yaml --now 2026-11-25T06:00:00Z --quiet
as_pod verify /tmp/work/archive --root /tmp/work/keys/root.fingerprint --replay | tail -1
# A name is resolved by what is compiled in: there is no library to load.
said=$(as_pod verify s3://evidence/x --endpoint http://store.example.com:1 --path-style 2>&1 || true)
case $said in
  *'onnection refused'* | *'ould not connect'* | *'connect error'*) echo 'a name is resolved' ;;
  *) echo "a name is not resolved: $said" >&2; exit 1 ;;
esac
