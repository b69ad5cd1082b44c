#!/usr/bin/env bash
# Fails where text for people has a word that docs/glossary.md replaces, a comment line is longer
# than 100 columns, a package has no comment, or a document names a file or test that does not exist.
set -euo pipefail
cd "$(dirname "$0")/.."
failed=0

report() {
  [ -z "$2" ] && return
  printf 'words: %s\n%s\n' "$1" "$2" >&2
  failed=1
}

# The replaced words are the rows under "Words that are rejected" in the glossary: | word | instead |.
words=$(sed -n '/^## Words that are rejected/,$p' docs/glossary.md | sed -nE 's/^\| `([^`]+)` \|.*/\1/p' | paste -sd'|')
[ -n "$words" ] || report "docs/glossary.md has no list of rejected words" "-"
texts=(':!docs/glossary.md' ':!*.gen.go' ':!*.svg' ':!*/testdata/*' ':!LICENSE' ':!go.sum' ':!server/auth/common_passwords.txt')
report "a word that docs/glossary.md replaces" "$(git grep -nwiE "$words" -- "${texts[@]}" | grep -vE 'http\.NoBody|"nobody"' || true)"
# http.NoBody and the Unix user "nobody" are names that are not ours.
# The same words inside identifiers.
camel=$(sed -E 's/\b([a-z])/\U\1/g' <<<"$words" | tr -d ' ')
report "a name that docs/glossary.md replaces" "$(git grep -nwE "[A-Za-z0-9]*($camel)([A-Z][A-Za-z0-9]*)?" -- '*.go' ':!*.gen.go' || true)"

report "comment lines of more than 100 columns" "$(git ls-files -z '*.go' | LC_ALL=C xargs -0 awk '
  FILENAME ~ /\.gen\.go$/ { next }
  /^[ \t]*\/\// && !/^[ \t]*\/\/(go:|nolint|[^ ]*$)/ && !/https?:\/\// {
    line = $0; gsub(/\t/, "    ", line)
    gsub(/[\200-\277]/, "", line) # the second and further bytes of a character
    if (length(line) > 100) printf "%s:%d: %d columns\n", FILENAME, FNR, length(line)
  }')"

report "packages without a comment" "$(go list -f '{{if not .Doc}}{{.ImportPath}}{{end}}' ./... | grep . || true)"

documents=(README.md CONTRIBUTING.md SECURITY.md docs/*.md)
report "documents name files that do not exist" "$(grep -noE '`(client|cmd|deploy|docs|internal|loadtest|migrations|money|server|tui)/[A-Za-z0-9_./-]*`' "${documents[@]}" |
  sed 's/`//g' | sort -u | while IFS=: read -r file line path; do [ -e "$path" ] || echo "$file:$line: $path"; done)"
report "documents name tests that do not exist" "$(grep -noE '\bTest[A-Z][A-Za-z0-9]*' "${documents[@]}" | sort -u |
  while IFS=: read -r file line name; do git grep -qE "^func $name\(" -- '*_test.go' || echo "$file:$line: $name"; done)"
report "documents link to files that do not exist" "$(grep -noE '\]\([^)#:]+' "${documents[@]}" | sed 's/](//' | sort -u |
  while IFS=: read -r file line path; do [ -e "$(dirname "$file")/$path" ] || echo "$file:$line: $path"; done)"

[ "$failed" -eq 0 ] && echo "words: all in order"
exit "$failed"
