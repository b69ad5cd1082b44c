package main

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"
)

// aliasPrefix begins the names of command aliases among the settings: alias.rent.
const aliasPrefix = "alias."

const aliasHelp = `Your own names for commands:

  kizo alias set rent 'transfer @bob 800 -m rent'
  kizo rent

kizo puts the words of the alias in place of its name and keeps what follows: kizo rent --dry-run is
kizo transfer @bob 800 -m rent --dry-run. Quotes hold words together; nothing else is special, and no shell runs. An
alias begins with a command of kizo, not with another alias, and a command of kizo is never replaced by an alias of its
name. Aliases are in the table [alias] of your configuration; a .kizo.toml cannot have any.`

// isAliasSetting reports whether a setting is a name for a command.
func isAliasSetting(key string) bool {
	name, is := strings.CutPrefix(key, aliasPrefix)
	return is && aliasPattern.MatchString(name)
}

// commandAlias is an alias and where it comes from.
type commandAlias struct {
	Name    string `json:"alias"`
	Command string `json:"command"`
	Origin  string `json:"origin"`
	State   string `json:"state"` // used, or why not
}

var aliasColumns = []column{{title: "ALIAS", id: true}, {title: "COMMAND", free: true}, {title: "ORIGIN", drop: 1}, {title: "STATE", drop: 2}}

func newAliasCommand(a *app) *cobra.Command {
	group := newGroup("alias", "Your own names for commands", newAliasSetCommand(a), newAliasListCommand(a), newAliasRemoveCommand(a))
	group.Long = aliasHelp
	return group
}

func newAliasSetCommand(a *app) *cobra.Command {
	var output outputFlags
	cmd := &cobra.Command{
		Use:     "set ALIAS COMMAND",
		Short:   "Give a command a name",
		Example: "  kizo alias set rent 'transfer @bob 800 -m rent'",
		Args:    takes("ALIAS COMMAND"),
		RunE: func(cmd *cobra.Command, args []string) error {
			name, command := args[0], args[1]
			if !aliasPattern.MatchString(name) {
				return usagef("%q is not a name: use at most 30 lower-case letters, digits, dashes and underscores, a letter first", name)
			}
			if isBuiltIn(cmd.Root(), name) {
				return usagef("kizo %s is a command already", name)
			}
			if _, err := aliasWords(cmd.Root(), name, command); err != nil {
				return err
			}
			return a.writeAlias(output, name, command)
		},
	}
	output.addTo(cmd, a, commandAlias{}, aliasColumns...)
	return cmd
}

func newAliasListCommand(a *app) *cobra.Command {
	var output outputFlags
	cmd := &cobra.Command{
		Use:     "list",
		Short:   "List your names for commands",
		Example: "  kizo alias list",
		Args:    takes(""),
		RunE: func(cmd *cobra.Command, _ []string) error {
			known, err := a.aliases()
			if err != nil {
				return err
			}
			entries := []commandAlias{}
			var rows [][]string
			for _, x := range known {
				x.State = "used"
				if _, err := aliasWords(cmd.Root(), x.Name, x.Command); err != nil {
					x.State = err.Error()
				}
				if isBuiltIn(cmd.Root(), x.Name) {
					x.State = "not used: kizo " + x.Name + " is a command"
				}
				entries, rows = append(entries, x), append(rows, []string{x.Name, x.Command, x.Origin, x.State})
			}
			return a.printList(output, entries, aliasColumns, rows)
		},
	}
	output.addTo(cmd, a, commandAlias{}, aliasColumns...)
	return cmd
}

func newAliasRemoveCommand(a *app) *cobra.Command {
	var output outputFlags
	cmd := &cobra.Command{
		Use:     "remove ALIAS",
		Short:   "Forget a name of a command",
		Example: "  kizo alias remove rent",
		Args:    takes("ALIAS"),
		RunE: func(_ *cobra.Command, args []string) error {
			known, err := a.aliases()
			if err != nil {
				return err
			}
			if !slices.ContainsFunc(known, func(x commandAlias) bool { return x.Name == args[0] }) {
				return withHint(&exitError{exit: exitNotFound, code: "alias_not_found", err: fmt.Errorf("there is no alias %q", args[0])}, "kizo alias list")
			}
			return a.writeAlias(output, args[0], "")
		},
	}
	output.addTo(cmd, a, commandAlias{}, aliasColumns...)
	return cmd
}

// writeAlias stores an alias, or removes it if command is empty.
func (a *app) writeAlias(flags outputFlags, name, command string) error {
	path := a.explicitConfig()
	if path == "" {
		path = a.userConfig()
	}
	if path == "" {
		return withHint(usagef("cannot locate your configuration: this user has no home directory"),
			"XDG_CONFIG_HOME=/a/private/directory "+a.commandLine())
	}
	if err := editConfig(path, aliasPrefix+name, command); err != nil {
		return err
	}
	known, err := a.aliases()
	if err != nil {
		return err
	}
	at := slices.IndexFunc(known, func(x commandAlias) bool { return x.Name == name })
	if (at >= 0) != (command != "") || at >= 0 && known[at].Command != command {
		return usagef("%s cannot be changed: edit the table [alias] by hand", path)
	}
	done := commandAlias{name, command, path, "used"}
	return a.printDone(flags, done, []string{name, command, path, "used"}, func() {
		if command == "" {
			a.io.note("kizo %s is no alias any more.", name)
		} else {
			a.io.note("kizo %s is kizo %s.", name, command)
		}
	})
}

// aliases returns the aliases of the configuration in the order of their names. Where two places
// have the same name, the first place wins.
func (a *app) aliases() ([]commandAlias, error) {
	layers, err := a.layers()
	if err != nil {
		return nil, err
	}
	var known []commandAlias
	for _, l := range layers {
		for key, value := range l.values {
			name, is := strings.CutPrefix(key, aliasPrefix)
			if is && !slices.ContainsFunc(known, func(x commandAlias) bool { return x.Name == name }) {
				known = append(known, commandAlias{Name: name, Command: value, Origin: l.name(key)})
			}
		}
	}
	slices.SortFunc(known, func(a, b commandAlias) int { return strings.Compare(a.Name, b.Name) })
	return known, nil
}

// isBuiltIn reports whether a word is a command of kizo, also one without a line in its help.
func isBuiltIn(root *cobra.Command, word string) bool {
	return word == cobra.ShellCompRequestCmd || word == cobra.ShellCompNoDescRequestCmd ||
		slices.ContainsFunc(root.Commands(), func(cmd *cobra.Command) bool { return cmd.Name() == word || cmd.HasAlias(word) })
}

// expandAlias puts the words of an alias in place of its name in the command line.
func (a *app) expandAlias(root *cobra.Command, at int) (expanded bool, err error) {
	name := a.args[at]
	known, err := a.aliases()
	if err != nil {
		return false, err
	}
	i := slices.IndexFunc(known, func(x commandAlias) bool { return x.Name == name })
	if i < 0 {
		return false, nil
	}
	words, err := aliasWords(root, name, known[i].Command)
	if err != nil {
		return false, err
	}
	a.args = slices.Concat(a.args[:at], words, a.args[at+1:])
	return true, nil
}

// aliasWords splits an alias into words and checks the first.
func aliasWords(root *cobra.Command, name, command string) ([]string, error) {
	words, err := splitWords(command)
	if err != nil {
		return nil, usagef("the alias %s is not valid: %w", name, err)
	}
	if len(words) == 0 || !isBuiltIn(root, words[0]) {
		return nil, usagef("the alias %s does not begin with a command of kizo", name)
	}
	return words, nil
}

// splitWords splits a text at spaces. Single and double quotes hold what is between them together;
// no other character is special.
func splitWords(text string) ([]string, error) {
	var words []string
	var word strings.Builder
	inWord := false
	var quote rune
	for _, r := range text {
		switch {
		case quote != 0 && r == quote:
			quote = 0
		case quote == 0 && (r == '\'' || r == '"'):
			quote, inWord = r, true
		case quote == 0 && (r == ' ' || r == '\t'):
			if inWord {
				words = append(words, word.String())
			}
			word.Reset()
			inWord = false
		default:
			word.WriteRune(r)
			inWord = true
		}
	}
	if quote != 0 {
		return nil, errors.New("a quotation mark is not closed")
	}
	if inWord {
		words = append(words, word.String())
	}
	return words, nil
}

// firstWord returns the index of the word that names the command; -1 if there is none.
func firstWord(root *cobra.Command, args []string) int {
	flags := root.PersistentFlags()
	for i := 0; i < len(args); i++ {
		arg := args[i]
		if !strings.HasPrefix(arg, "-") {
			return i
		}
		name, _, hasValue := strings.Cut(strings.TrimLeft(arg, "-"), "=")
		flag := flags.Lookup(name)
		if flag == nil && len(name) == 1 {
			flag = flags.ShorthandLookup(name)
		}
		if flag == nil {
			return -1 // --help, or a mistake that the parser names
		}
		if !hasValue && flag.NoOptDefVal == "" {
			i++
		}
	}
	return -1
}
