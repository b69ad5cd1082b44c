//go:build unix

package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/uuid"
)

// Each script completes the words of its arguments as a user does with the Tab key, and prints
// what the last word is completed to, or nothing.
const (
	// bash-completion, which the script of kizo needs, may not be installed; the first functions
	// are what kizo uses of it.
	completeInBash = `
source ./kizo.bash
_get_comp_words_by_ref() { words=("${COMP_WORDS[@]}"); cword=$COMP_CWORD; cur=${words[cword]}; prev=${words[cword-1]}; }
__ltrim_colon_completions() { :; }
compopt() { :; }
COMP_WORDS=("$@") COMP_CWORD=$(($# - 1)) COMP_LINE="$*" COMP_TYPE=9 COMP_KEY=9
COMP_POINT=${#COMP_LINE}
__start_kizo
printf '%s\n' "${COMPREPLY[@]}"
`
	// An interactive zsh in a terminal of its own gets the keys of the line, Tab, and Control-T,
	// which prints the line. It handles them one after the other, so nothing waits for a time.
	completeInZsh = `
cat > inside.zsh <<'END'
PS1= PS2=
autoload -Uz compinit && compinit -u -C -d ./dump
source ./kizo.zsh
report() { print -r -- "BEGIN${BUFFER}END" }
zle -N report
bindkey '^I' expand-or-complete
bindkey '^T' report
print RE''ADY
END
zmodload zsh/zpty
zpty inside zsh -f -i
zpty -w inside 'source ./inside.zsh'
zpty -r inside seen '*READY*'
zpty -w -n inside "$*"$'\t'$'\x14'
zpty -r inside seen '*BEGIN*END*'
zpty -d inside
seen=${${seen##*BEGIN}%%END*}
line="$*"
[[ $seen == $line ]] || print -r -- ${${seen% }##* }
`
	completeInFish = `
source ./kizo.fish
complete --do-complete "$argv"
`
	completeInPowerShell = `
. ./kizo.ps1
$line = $args -join ' '
(TabExpansion2 -inputScript $line -cursorColumn $line.Length).CompletionMatches | ForEach-Object { $_.CompletionText }
`
)

// TestCompletionInShells runs the generated scripts in the shells that this system has.
func TestCompletionInShells(t *testing.T) {
	shells := map[string]struct {
		program string
		file    string
		args    []string // before the words
		script  string
	}{
		"bash":       {"bash", "kizo.bash", []string{"--norc", "-c", completeInBash, "bash"}, ""},
		"zsh":        {"zsh", "kizo.zsh", []string{"-f", "-c", completeInZsh, "zsh"}, ""},
		"fish":       {"fish", "kizo.fish", []string{"--no-config", "-c", completeInFish}, ""},
		"powershell": {"pwsh", "kizo.ps1", []string{"-NoProfile", "-NonInteractive", "-File", "complete.ps1"}, completeInPowerShell},
	}
	for name, shell := range shells {
		t.Run(name, func(t *testing.T) {
			program, err := exec.LookPath(shell.program)
			if err != nil {
				t.Skip("this system has no " + name)
			}
			w := newWorld(t, nil)
			w.env["KIZO_SERVER"], w.env["KIZO_TOKEN"], w.env["TERM"] = "http://127.0.0.1:1", "token", "dumb"
			id := uuid.NewString()
			w.remembers(knowledge{
				Transfers: []knownTransfer{{ID: id, Kind: "authorization", State: "pending", Direction: "in", Amount: "1.00 USD", With: "@eve", Memo: "$(touch x)`touch x`"}},
				Payees:    []knownPayee{{Handle: "bob", Name: "Bob; touch x"}, {Handle: "carol"}},
			})
			w.write("afile", "")
			w.expect(exitDone, "completion", name)
			w.write(shell.file, w.out.String())
			if shell.script != "" {
				w.write("complete.ps1", shell.script)
			}
			for line, want := range map[string]string{
				"kizo|transfers|capture|":         id,
				"kizo|transfers|cap":              "capture",
				"kizo|transfer|@c":                "@carol",
				"kizo|transfer|@bob|":             "",
				"kizo|keys|revoke|":               "", // no key is known, and a file is none
				"kizo|transfers|list|--state|pe":  "pending",
				"kizo|transfers|show|" + id[:6]:   id,
				"kizo|pending|drop|af":            "",
				"kizo|transfers|void|--json=|afi": "",
			} {
				command := exec.CommandContext(t.Context(), program, append(shell.args, strings.Split(line, "|")...)...)
				command.Env, command.Dir = os.Environ(), w.dir
				for key, value := range w.env {
					command.Env = append(command.Env, key+"="+value)
				}
				out, err := command.CombinedOutput()
				if word, _, _ := strings.Cut(strings.TrimSpace(string(out)), " "); err != nil || strings.SplitN(word, "\t", 2)[0] != want {
					t.Errorf("%s: %q, %v, want %q", line, out, err, want)
				}
			}
			if _, err := os.Stat(filepath.Join(w.dir, "x")); !os.IsNotExist(err) {
				t.Errorf("a completion was executed: %v", err)
			}
		})
	}
}
