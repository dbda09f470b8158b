#!/usr/bin/env bash
# Builds the image of the program: one static file, the CA certificates of this machine, a user that is not
# root, and nothing else. Writes an OCI image layout (OCI image-spec 1.1) as a tar, which `docker load`,
# `podman load` and `skopeo copy oci-archive:` read. The same commit, toolchain and certificates give the
# same bytes, wherever the checkout lies.
#   examples/container/build.sh [OUT.tar]
set -euo pipefail
cd "$(dirname "$0")/../.."
out=$(realpath -m "${1:-affidavit.oci.tar}")
certificates=${SSL_CERT_FILE:-/etc/ssl/certs/ca-certificates.crt}
for program in cargo jq tar gzip sha256sum; do
  command -v "$program" >/dev/null || { echo "$program is needed" >&2; exit 1; }
done
[ -r "$certificates" ] || { echo "no CA certificates at $certificates: set SSL_CERT_FILE" >&2; exit 1; }
SOURCE_DATE_EPOCH=${SOURCE_DATE_EPOCH:-$(git log -1 --format=%ct)}
export SOURCE_DATE_EPOCH

# ---- The program. glibc 2.34 and later resolve names without loading anything; hardware keys (PKCS#11) need a
# vendor's shared library, which a static program cannot load.
host=$(rustc -vV | sed -n 's/^host: //p')
version=$(cargo metadata --locked --no-deps --format-version 1 | jq -r '.packages[0].version')
target=${CARGO_TARGET_DIR:-target}/container
home=${CARGO_HOME:-$HOME/.cargo}
# No path of this machine in it; those of our own files are relative anyway.
export RUSTFLAGS="-C target-feature=+crt-static --remap-path-prefix=$home=/cargo"
export CFLAGS="-ffile-prefix-map=$home=/cargo"
cargo build --release --locked --bin affidavit --target "$host" --target-dir "$target"
program=$target/$host/release/affidavit
if ldd "$program" 2>/dev/null | grep -q '=>'; then
  echo "$program is not static" >&2
  exit 1
fi
if grep -aqF -e "$home/" -e "$PWD/" "$program"; then
  echo "$program names a folder of this machine: it would be another one elsewhere" >&2
  exit 1
fi

# ---- The layer.
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir -p "$work/root/etc/ssl/certs" "$work/root/tmp" "$work/image/blobs/sha256"
install -m 0555 "$program" "$work/root/affidavit"
install -m 0444 "$certificates" "$work/root/etc/ssl/certs/ca-certificates.crt"
echo 'affidavit:x:65532:65532::/:/affidavit' >"$work/root/etc/passwd"
echo 'affidavit:x:65532:' >"$work/root/etc/group"
# As on every distribution; glibc's own default asks the network first.
echo 'hosts: files dns' >"$work/root/etc/nsswitch.conf"
chmod 0444 "$work/root/etc/passwd" "$work/root/etc/group" "$work/root/etc/nsswitch.conf"
chmod 0755 "$work/root" "$work/root/etc" "$work/root/etc/ssl" "$work/root/etc/ssl/certs" && chmod 1777 "$work/root/tmp"
pack() { # FOLDER: a tar that says nothing of who made it, or when
  tar --create --directory "$1" --sort=name --format=ustar --mtime="@$SOURCE_DATE_EPOCH" \
    --owner=0 --group=0 --numeric-owner .
}
digest() { sha256sum "$1" | cut -d ' ' -f 1; }
keep() { # FILE: into the blobs, under its digest
  local name
  name=$(digest "$1")
  mv "$1" "$work/image/blobs/sha256/$name"
  echo "$name"
}
size_of() { stat -c %s "$work/image/blobs/sha256/$1"; }
pack "$work/root" >"$work/layer.tar"
layer_id=$(digest "$work/layer.tar")
gzip --no-name -9 "$work/layer.tar"
layer=$(keep "$work/layer.tar.gz")

# ---- What describes it.
created=$(date -u -d "@$SOURCE_DATE_EPOCH" +%Y-%m-%dT%H:%M:%SZ)
case $host in
  x86_64-*) architecture=amd64 ;;
  aarch64-*) architecture=arm64 ;;
  *) echo "no name for the architecture of $host" >&2; exit 1 ;;
esac
jq -cnS --arg created "$created" --arg architecture "$architecture" --arg layer "sha256:$layer_id" --arg version "$version" '{
  created: $created, architecture: $architecture, os: "linux",
  config: {
    User: "65532:65532", Entrypoint: ["/affidavit"], Cmd: ["--help"], WorkingDir: "/tmp",
    Labels: {
      "org.opencontainers.image.title": "affidavit", "org.opencontainers.image.version": $version,
      "org.opencontainers.image.licenses": "Apache-2.0"
    }
  },
  rootfs: {type: "layers", diff_ids: [$layer]},
  history: [{created: $created, created_by: "examples/container/build.sh"}]
}' >"$work/config.json"
config=$(keep "$work/config.json")
jq -cnS --arg config "$config" --argjson config_size "$(size_of "$config")" --arg layer "$layer" --argjson layer_size "$(size_of "$layer")" '{
  schemaVersion: 2, mediaType: "application/vnd.oci.image.manifest.v1+json",
  config: {mediaType: "application/vnd.oci.image.config.v1+json", digest: "sha256:\($config)", size: $config_size},
  layers: [{mediaType: "application/vnd.oci.image.layer.v1.tar+gzip", digest: "sha256:\($layer)", size: $layer_size}]
}' >"$work/manifest.json"
manifest=$(keep "$work/manifest.json")
echo '{"imageLayoutVersion":"1.0.0"}' >"$work/image/oci-layout"
jq -cnS --arg digest "sha256:$manifest" --argjson size "$(size_of "$manifest")" --arg version "$version" '{
  schemaVersion: 2, mediaType: "application/vnd.oci.image.index.v1+json",
  manifests: [{mediaType: "application/vnd.oci.image.manifest.v1+json", digest: $digest, size: $size,
    annotations: {"org.opencontainers.image.ref.name": $version, "io.containerd.image.name": "affidavit:\($version)"}}]
}' >"$work/image/index.json"
# For `docker load` of before version 25.
jq -cnS --arg config "blobs/sha256/$config" --arg layer "blobs/sha256/$layer" --arg tag "affidavit:$version" \
  '[{Config: $config, Layers: [$layer], RepoTags: [$tag]}]' >"$work/image/manifest.json"
pack "$work/image" >"$out"

echo "affidavit:$version  sha256:$manifest"
echo "program $(stat -c %s "$program") bytes, layer $(size_of "$layer") bytes compressed: $out"
