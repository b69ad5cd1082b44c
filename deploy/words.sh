#!/usr/bin/env bash
# Fails where text for people has a word that docs/glossary.md replaces or a British spelling, a
# comment line is longer than 100 columns, a package has no comment, or a document names a file or
# a test that does not exist.
set -euo pipefail
cd "$(dirname "$0")/.."
failed=0

report() {
  [ -z "$2" ] && return
  printf 'words: %s\n%s\n' "$1" "$2" >&2
  failed=1
}

texts=(':!docs/glossary.md' ':!*.gen.go' ':!*.svg' ':!*/testdata/*' ':!LICENSE' ':!go.sum' ':!deploy/words.sh' ':!server/auth/common_passwords.txt')

# allowed removes names that other programs gave, from the output of git grep -n.
allowed() {
  sed -E '
    # A name of the standard library.
    s/http\.NoBody//g
    # A user of Unix systems, without rights.
    /^server\/embedded\//s/"nobody"//g
    # A handle that no user may have, because it is a user of Unix systems, and a British spelling
    # of another one.
    /^server\/auth\/reserved\.go:/s/ (nobody|centre) / /g
  '
}

# matching lists the lines, without allowed names, in which a regular expression still matches.
matching() {
  allowed | grep -iE "^[^:]+:[0-9]+:(.*[^[:alnum:]_])?($1)([^[:alnum:]_]|\$)" || true
}

# The replaced words are the rows under "Words that are rejected": | word | instead |.
words=$(sed -n '/^## Words that are rejected/,$p' docs/glossary.md | sed -nE 's/^\| `([^`]+)` \|.*/\1/p' | paste -sd'|')
[ -n "$words" ] || report "docs/glossary.md has no list of rejected words" "-"
report "a word that docs/glossary.md replaces" "$(git grep -nwiE "$words" -- "${texts[@]}" | matching "$words")"
report "a word that docs/glossary.md replaces, above its lists" "$(sed '/^## Renames/,$d' docs/glossary.md | grep -nwiE "$words" || true)"
# The same words inside identifiers: as the first word, or as a later one.
later=$(sed -E 's/\b([a-z])/\U\1/g' <<<"$words" | tr -d ' ')
first=$(sed -E 's/(^|\|)([A-Z])/\1\L\2/g' <<<"$later")
report "a name that docs/glossary.md replaces" "$(git grep -nwE "[A-Za-z0-9]*($later)([A-Z0-9][A-Za-z0-9]*)?|($first)[A-Z0-9][A-Za-z0-9]*" -- '*.go' ':!*.gen.go' || true)"

# American spelling. In Go, golangci-lint's misspell knows more words, but reads no identifiers.
ise='author|capital|categor|custom|emphas|final|general|initial|local|minim|maxim|normal|optim|organ|priorit|random|real|recogn|sanit|serial|standard|summar|synchron|token|util'
british="[a-z]*($ise)is(e|ed|er|es|ing|ation|ations)|[a-z]*(behav|col|fav|harb|hon|neighb|rum)our[a-z]*|(un)?(cancell|labell|modell|signall|travell|totall)(ed|ing)|analyse[dr]?|artefacts?|catalogues?|centres?|defence|grey|judgement|learnt|licen[c]e[ds]?|programmes?|spelt|whilst|amongst"
report "a British spelling" "$(git grep -nwiE "$british" -- "${texts[@]}" | matching "$british")"
report "a British spelling in a name" "$(git grep -nE "[a-z](($(sed -E 's/\b([a-z])/\U\1/g' <<<"$ise"))is(e|ed|es|ing|ation|ations)|(Behavi|Col|Fav|Neighb)our)([^a-z]|\$)" -- '*.go' ':!*.gen.go' || true)"

# Under LC_ALL=C, every awk counts bytes; without the bytes that continue a character of UTF-8 it
# counts characters.
report "comment lines of more than 100 columns" "$(git ls-files -z '*.go' '*.sql' '*.js' '*.sh' '*.yml' | LC_ALL=C xargs -0 awk '
  FILENAME ~ /\.gen\.go$/ { next }
  /^[ \t]*(\/\/|--|#)/ && !/^[ \t]*\/\/(go:|nolint|[^ ]*$)/ && !/https?:\/\// {
    line = $0; gsub(/\t/, "    ", line); gsub(/[\200-\277]/, "", line)
    if (length(line) > 100) printf "%s:%d: %d columns\n", FILENAME, FNR, length(line)
  }')"

# go list does not know the comment of a package that has nothing but tests.
report "packages without a comment" "$(go list -f '{{if and (not .Doc) .GoFiles}}{{.ImportPath}}{{end}}' ./... | grep . || true
  go list -f '{{if not .GoFiles}}{{.Dir}}{{end}}' ./... | while read -r dir; do grep -lqE '^// Package ' "$dir"/*_test.go || echo "$dir"; done)"

# The documents, without the glossary's rows of renames: what those name is gone.
copy=$(mktemp -d)
trap 'rm -rf "$copy"' EXIT
mkdir "$copy/docs"
cp README.md CONTRIBUTING.md SECURITY.md CHANGELOG.md "$copy"
cp docs/*.md "$copy/docs"
awk '/^## / { renames = $0 == "## Renames" } { print renames ? "" : $0 }' docs/glossary.md >"$copy/docs/glossary.md"
# found lists what a regular expression finds in the documents, as file:line:text.
found() { (cd "$copy" && grep -rnoE --include="*.md" -e "$1" . | sed 's|^\./||' | sort -u); }
exists() { [ -e "$1" ] || git check-ignore -q "$1"; }

report "documents name files that do not exist" "$(
  found '`(client|cmd|deploy|docs|internal|loadtest|migrations|money|openapi|server|tui)/[A-Za-z0-9_./-]*`' | tr -d '`' |
    while IFS=: read -r file line path; do exists "$path" || echo "$file:$line: $path"; done)"
report "documents name tests that do not exist" "$(found '\bTest[A-Z][A-Za-z0-9]*' |
  while IFS=: read -r file line name; do git grep -qE "^func $name\(" -- '*_test.go' || echo "$file:$line: $name"; done)"
report "documents name patterns that match no test or benchmark" "$(found "-(run|bench|fuzz) '?[A-Za-z0-9|]+" | grep -v ' XXX$' |
  while IFS=: read -r file line text; do
    for name in $(tr "|'" '  ' <<<"${text#-* }"); do
      git grep -qE "^func (Test|Benchmark|Fuzz)[A-Za-z0-9]*$(sed -E 's/^(Test|Benchmark|Fuzz)//' <<<"$name")" -- '*_test.go' ||
        echo "$file:$line: $text"
    done
  done)"
report "documents name metrics or database roles that do not exist" "$(found '\bkizo_[a-z_]*[a-z]' | grep -v '^CHANGELOG.md:' |
  while IFS=: read -r file line name; do git grep -qw "$name" -- '*.go' '*.sql' || echo "$file:$line: $name"; done)"
report "documents link to files that do not exist" "$(found '\]\([^)#:]+' | sed 's/](//' |
  while IFS=: read -r file line path; do [ "$path" = https ] || exists "$(dirname "$file")/$path" || echo "$file:$line: $path"; done)"

[ "$failed" -eq 0 ] && echo "words: all in order"
exit "$failed"
