#!/usr/bin/env bash
# Runs all tests. They start the servers they need themselves. What is missing on this machine is
# asked for here, or said by the test that would use it.
set -euo pipefail
cd "$(dirname "$0")/.."
for tool in jq openssl sha256sum base64; do
  command -v "$tool" >/dev/null || { echo "install $tool: a test verifies an archive with stock tools" >&2; exit 1; }
done
for tool in pdftotext pdfdetach qpdf; do
  command -v "$tool" >/dev/null || echo "note: $tool (poppler-utils, qpdf) is not installed: its tests of the report are left out" >&2
done
cargo test --locked
