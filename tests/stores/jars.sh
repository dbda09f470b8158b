# Gets pinned programs for Java; the server files that need it source it.

# get_jars FOLDER POM: puts the jars that POM names and what they need in FOLDER.
# SHA256SUMS beside POM pins every file.
get_jars() {
  local folder=$1 pom=$2 sums="${2%/*}/SHA256SUMS"
  cmp -s "$sums" "$folder/SHA256SUMS" && return
  rm -rf "$folder" "$folder.part"
  nice mvn --quiet --batch-mode -Dstyle.color=never --file "$pom" dependency:copy-dependencies \
    -DincludeScope=runtime -DoutputDirectory="$folder.part" &&
    (cd "$folder.part" && sha256sum --strict --quiet --check) <"$sums" &&
    cp "$sums" "$folder.part/SHA256SUMS" &&
    mv "$folder.part" "$folder"
}
