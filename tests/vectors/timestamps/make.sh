#!/usr/bin/env bash
# Made the responses of this folder once, with openssl and faketime: an authority's key and serial
# numbers are new each time, so they are kept, and not made again.
# The message is the checkpoint body of valid/three-bundles.
set -euo pipefail
cd "$(dirname "$0")"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
tar -xOf ../valid/three-bundles/archive.tar checkpoints/0000000003 | head -3 > "$work/body"
echo 'other data' > "$work/other"

ca() { # ca NAME
  faketime '2026-11-01 00:00:00' openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 3650 \
    -subj "/CN=$1" -addext 'basicConstraints=critical,CA:TRUE' -addext 'keyUsage=critical,keyCertSign' \
    -keyout "$work/$1.key" -out "$work/$1.pem" 2>/dev/null
}
tsa() { # tsa NAME CA USAGE
  openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj "/CN=$1" -keyout "$work/$1.key" -out "$work/$1.csr" 2>/dev/null
  printf '%s\n' 'basicConstraints=critical,CA:FALSE' 'keyUsage=critical,digitalSignature' "extendedKeyUsage=$3" > "$work/ext"
  faketime '2026-11-02 00:00:00' openssl x509 -req -in "$work/$1.csr" -CA "$work/$2.pem" -CAkey "$work/$2.key" \
    -CAcreateserial -days 3600 -extfile "$work/ext" -out "$work/$1.pem" 2>/dev/null
}
reply() { # reply TSA CA TIME MESSAGE OUT
  cat > "$work/conf" <<CONF
[tsa]
default_tsa = it
[it]
serial = $work/serial
signer_cert = $work/$1.pem
certs = $work/$2.pem
signer_key = $work/$1.key
signer_digest = sha256
default_policy = 1.3.6.1.4.1.99999.1
digests = sha256
accuracy = secs:1
ess_cert_id_chain = no
ess_cert_id_alg = sha256
CONF
  echo 01 > "$work/serial"
  openssl ts -query -data "$work/$4" -sha256 -cert -no_nonce -out "$work/query" 2>/dev/null
  TZ=UTC faketime "$3" openssl ts -reply -config "$work/conf" -queryfile "$work/query" -out "$5" 2>/dev/null
}

ca authority; ca other-authority
tsa stamps authority critical,timeStamping
tsa strange other-authority critical,timeStamping
cp "$work/authority.pem" ca.pem
reply stamps authority '2026-11-22 02:30:00' body good.tsr
reply stamps authority '2026-11-22 02:30:00' other other-data.tsr
reply stamps authority '2026-11-21 02:30:00' body too-early.tsr
reply strange other-authority '2026-11-22 02:30:00' body other-authority.tsr
openssl ts -verify -in good.tsr -data "$work/body" -CAfile ca.pem
