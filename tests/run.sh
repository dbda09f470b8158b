#!/usr/bin/env bash
# Runs all tests. They start the servers that they need themselves. Programs that tests need and this machine lacks
# are installed if that takes no password (apt-get, as root or by passwordless sudo); tests that still lack
# something are left out, and the last lines say which and why.
#
#   bash tests/run.sh [--as-is] [NAME]
#
# NAME runs those tests whose names contain it. --as-is installs nothing.
[ -n "${BASH_VERSION:-}" ] || { echo 'Run this with bash.' >&2; exit 2; }
set -euo pipefail
cd "$(dirname "$(readlink -f "$0")")/.."
. tests/preflight.sh

as_is=false
name=()
for argument; do
  case $argument in
  --as-is) as_is=true ;;
  -h | --help)
    sed -n '2,/^\[/{ /^#/s/^# \{0,1\}//p }' tests/run.sh
    exit 0
    ;;
  -*) stop "tests/run.sh knows --as-is and --help, and not $argument: cargo test -- $argument passes it to the tests." ;;
  *)
    [ "${#name[@]}" -eq 0 ] || stop "tests/run.sh takes one name, and not $argument as well."
    name=("$argument")
    ;;
  esac
done

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
CARGO_INCREMENTAL=0 cargo test --locked --no-fail-fast -- ${name[@]+"${name[@]}"} | tee "$log/said" || passed=false

ran=$(awk '/^test result:/ { ran += $4 + $6 + $8 } END { print ran + 0 }' "$log/said")
if [ "$ran" -eq 0 ]; then
  if $passed; then echo "No test has a name that contains '${name[*]}'." >&2; else echo 'The build failed: no test ran.' >&2; fi
  exit 1
fi
awk '/^test result:/ { ran += $4 + $6; failed += $6; left += $8 }
  END { printf "\n%d tests ran, %d of them failed; %d were left out\n", ran, failed, left }' "$log/said"
if [ -s "$log/left-out" ]; then
  echo 'Left out for want of something (how many tests, what is missing, what brings it):'
  cat "$log/left-out"
fi
$passed
