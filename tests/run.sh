#!/usr/bin/env bash
# Runs all tests. They start the servers that they need themselves. Programs that tests need and this machine lacks
# are installed if that takes no password (apt-get, as root or by passwordless sudo); tests that still lack
# something are left out, and the last lines say which and why.
#
#   bash tests/run.sh [--as-is] [NAME]
#
# NAME runs those tests whose names contain it. --as-is installs nothing.
set -euo pipefail
cd "$(dirname "$0")/.."

if [ "${1:-}" = --help ] || [ "${1:-}" = -h ]; then
  sed -n '2,/^set /{ /^#/s/^# \{0,1\}//p }' tests/run.sh
  exit 0
fi
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
    echo "Installing ${packages[*]}, which some tests need …" >&2
    if "${apt[@]}" update -qq >/dev/null && "${apt[@]}" install -y -qq "${packages[@]}" >/dev/null; then
      return
    fi
  fi
  echo "To run all tests of the report, install ${packages[*]} (Debian: apt-get install ${packages[*]})." >&2
}

. tests/preflight.sh
preflight 'debug/deps/main-*' 3500
$as_is || install_programs
if $is_first; then
  built=$(compgen -G "$target/debug/affidavit" || true)
  if [ -n "$built" ]; then minutes='about a minute and a half'; else minutes='about five minutes'; fi
  echo "Building the tests: $minutes on two cores, once. All tests take three to four minutes more." >&2
fi

log=$(mktemp -d)
trap 'rm -r "$log"' EXIT
export AFFIDAVIT_TEST_LEFT_OUT="$log/left-out"
passed=true
# As in examples/quickstart/run.sh, so that what was built there is not built again.
CARGO_INCREMENTAL=0 cargo test --locked -- "$@" | tee "$log/said" || passed=false

ran=$(awk '/^test result:/ { ran += $4 + $6 + $8 } END { print ran + 0 }' "$log/said")
if $passed && [ "$ran" -eq 0 ]; then
  echo "No test has a name that contains '$*'." >&2
  exit 1
fi
awk '/^test result:/ { ran += $4 + $6; failed += $6; left += $8 }
  END { printf "\n%d tests ran, %d of them failed; %d were left out\n", ran, failed, left }' "$log/said"
if [ -s "$log/left-out" ]; then
  echo 'Left out for want of something (how many tests, what is missing, what brings it):'
  cat "$log/left-out"
fi
$passed
