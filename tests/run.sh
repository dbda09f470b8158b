#!/usr/bin/env bash
# Runs all tests. They start the servers that they need themselves. What a test needs and this machine lacks is
# installed where nobody has to be asked (apt-get, as root or by sudo without a password); what is then still
# missing leaves tests out, and the last lines say which and why.
#
#   bash tests/run.sh [--as-is] [ARGUMENTS OF THE TESTS]
#
# --as-is installs nothing.
set -euo pipefail
cd "$(dirname "$0")/.."
. tests/preflight.sh

as_is=false
if [ "${1:-}" = --as-is ]; then
  as_is=true
  shift
fi

# Installs what tests of reports and of stock tools run.
install_programs() {
  local pair packages=() apt=()
  for pair in jq:jq openssl:openssl pdftotext:poppler-utils qpdf:qpdf python3:python3; do
    command -v "${pair%%:*}" >/dev/null || packages+=("${pair#*:}")
  done
  if [ "${#packages[@]}" -eq 0 ]; then
    return
  fi
  if command -v apt-get >/dev/null; then
    if [ "$(id -u)" -eq 0 ]; then
      apt=(env DEBIAN_FRONTEND=noninteractive apt-get)
    elif sudo -n true 2>/dev/null; then
      apt=(sudo -n env DEBIAN_FRONTEND=noninteractive apt-get)
    fi
  fi
  if [ "${#apt[@]}" -gt 0 ]; then
    echo "Installing ${packages[*]}, which tests run …" >&2
    if "${apt[@]}" update -qq >/dev/null && "${apt[@]}" install -y -qq "${packages[@]}" >/dev/null; then
      return
    fi
  fi
  echo "To run all tests of the report, install ${packages[*]} (Debian: apt-get install ${packages[*]})." >&2
}

preflight 4000
$as_is || install_programs
if $is_first; then
  echo 'Building affidavit and its tests: about five minutes on two cores, once. The tests take four more.' >&2
else
  echo 'Building what the tests add: about one minute on two cores, once. The tests take four more.' >&2
fi

log=$(mktemp -d)
trap 'rm -r "$log"' EXIT
export AFFIDAVIT_TEST_LEFT_OUT="$log/left-out"
passed=true
# As in examples/quickstart/run.sh, so that what was built there is not built again.
CARGO_INCREMENTAL=0 cargo test --locked -- "$@" | tee "$log/said" || passed=false

awk '/^test result:/ { ran += $4 + $6; failed += $6; left += $8 }
  END { printf "\n%d tests ran, %d of them failed; %d were left out\n", ran, failed, left }' "$log/said"
if [ -s "$log/left-out" ]; then
  echo 'Left out, because this machine lacks something (how many, what, what brings it):'
  cat "$log/left-out"
fi
$passed
