# Builds Go programs from pinned modules; the server files that need it source it.

# go_build PROGRAM MODULE VERSION SUM PACKAGE: makes $PROGRAM from MODULE/PACKAGE.
# SUM pins the module, and the go.sum in it pins the rest.
go_build() {
  local program=$1 module=$2 version=$3 sum=$4 package=$5 go=go found
  # Where the system's is too old, .ci/stock-tools has put a newer one here.
  if [[ -x $cache/stock/go/bin/go ]]; then go=$cache/stock/go/bin/go; fi
  mkdir -p "$(dirname "$program")"
  found=$(GOTOOLCHAIN=local "$go" mod download -json "$module@$version")
  if [[ $(jq -r .Sum <<<"$found") != "$sum" ]]; then
    echo "$module: $version is not the module that was pinned" >&2
    return 1
  fi
  (cd "$(jq -r .Dir <<<"$found")" &&
    CGO_ENABLED=0 GOTOOLCHAIN=local GOFLAGS='-buildvcs=false -p=1' \
      nice "$go" build -mod=readonly -trimpath -ldflags='-s -w' -o "$program.part" "$package") &&
    mv "$program.part" "$program"
}
