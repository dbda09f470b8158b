# What the journeys are told in: a sentence, a command with all that it prints, and how it ended.
say() { printf '\n# %s\n' "$@"; }
step() {
  local code=0
  printf '$ %s\n' "$1"
  eval "$1" 2>&1 || code=$?
  [ "$code" -eq 0 ] || printf '(exit %s)\n' "$code"
}
