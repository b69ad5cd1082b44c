package main

import (
	"errors"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	chars "github.com/JDevAman/kizo/internal/text"
	"github.com/JDevAman/kizo/money"
)

// misspelled is an error for an unknown word, with the word that was probably meant.
type misspelled struct {
	error
	wrong, right string
}

func (m *misspelled) Unwrap() error { return m.error }

// unknownWord adds to an error which of the choices was probably meant.
func unknownWord(err error, word string, choices []string) error {
	if near := nearestWord(word, choices); near != "" {
		return &misspelled{err, word, near}
	}
	return err
}

// nearestWord returns the choice that was probably meant; empty if none is similar.
func nearestWord(word string, choices []string) string {
	const maxDistance = 2 // letters that differ
	simple := func(text string) string { return strings.ReplaceAll(strings.ToLower(text), "_", "-") }
	typed := simple(word)
	best, found := min(maxDistance, len(typed)-1)+1, ""
	for _, choice := range choices {
		if d := chars.Distance(typed, simple(choice)); d < best {
			best, found = d, choice
		}
	}
	if found != "" || len(typed) < 3 {
		return found
	}
	for _, choice := range choices {
		if strings.HasPrefix(simple(choice), typed) {
			return choice
		}
	}
	return ""
}

// choiceFlag is a flag that takes one of a few words.
type choiceFlag struct {
	value   *string
	choices []string
}

// addChoice adds a flag that takes one of the choices.
func addChoice(cmd *cobra.Command, value *string, name, initial, help string, choices []string) {
	*value = initial
	cmd.Flags().Var(&choiceFlag{value, choices}, name, help)
	_ = cmd.RegisterFlagCompletionFunc(name, completeWord(choices))
}

func (f *choiceFlag) Type() string   { return "string" }
func (f *choiceFlag) String() string { return *f.value }

func (f *choiceFlag) Set(text string) error {
	if err := checkChoice(text, f.choices); err != nil {
		return err
	}
	*f.value = text
	return nil
}

func checkChoice(text string, choices []string) error {
	if slices.Contains(choices, text) {
		return nil
	}
	return unknownWord(usagef("%q is not %s", text, joinOr(choices)), text, choices)
}

// parseCurrency parses a currency code.
func parseCurrency(code string) (money.Currency, error) {
	currency, err := money.ParseCurrency(code)
	if err == nil {
		return currency, nil
	}
	var known []string
	for _, c := range money.Currencies() {
		// One letter too many or too few; another letter could mean any of a dozen currencies.
		if len(code) != len(c) && chars.Distance(strings.ToUpper(code), string(c)) == 1 {
			known = append(known, string(c))
		}
	}
	if len(known) == 1 {
		return "", &misspelled{err, code, known[0]}
	}
	return "", err
}

// flagError adds hints to the error for an unknown flag or an invalid value.
func (a *app) flagError(cmd *cobra.Command, err error) error {
	help := cmd.CommandPath() + " --help"
	if unknown, ok := errors.AsType[*pflag.NotExistError](err); ok {
		letters := unknown.GetSpecifiedShortnames()
		if letters != "" && strings.ContainsAny(letters[:1], "0123456789.") {
			return withHint(usagef("-%s has a sign, but amounts have none", letters), a.retyped("-"+letters, letters))
		}
		wrong, name := "--"+unknown.GetSpecifiedName(), unknown.GetSpecifiedName()
		if letters != "" {
			name, _, _ = strings.Cut(letters, "=")
			wrong = "-" + name
		}
		if near := nearestWord(name, flagNames(cmd)); near != "" {
			return withHint(usage(err), a.retyped(wrong, "--"+near), help)
		}
	}
	if _, ok := errors.AsType[*misspelled](err); ok {
		return usage(err)
	}
	return withHint(usage(err), help)
}

func flagNames(cmd *cobra.Command) []string {
	var names []string
	cmd.Flags().VisitAll(func(f *pflag.Flag) {
		if !f.Hidden {
			names = append(names, f.Name)
		}
	})
	return names
}

// retyped returns the command line with one word corrected: the first argument that is that word,
// or else the first that contains it in the name or the value of a flag.
func (a *app) retyped(wrong, right string) string {
	better := *a
	better.args = slices.Clone(a.args)
	if i := slices.Index(better.args, wrong); i >= 0 {
		better.args[i] = right
		return better.commandLine()
	}
	for i, arg := range better.args {
		name, value, isFlag := strings.Cut(arg, "=")
		words := strings.Split(value, ",")
		if !isFlag || !strings.HasPrefix(arg, "-") {
			if name, words = "", strings.Split(arg, ","); len(words) == 1 {
				continue
			}
		}
		at := slices.Index(words, wrong)
		switch {
		case name == wrong:
			name = right
		case at >= 0:
			words[at] = right
		default:
			continue
		}
		better.args[i] = strings.Join(words, ",")
		if isFlag {
			better.args[i] = name + "=" + better.args[i]
		}
		break
	}
	return better.commandLine()
}

// spacedValue recognizes values of flags with an optional value: fields for --json, a duration with
// its unit for --wait. A plain number after --wait may be the amount.
var spacedValue = map[string]func(string) bool{
	"--json": regexp.MustCompile(`^[a-z][a-z_]*(,[a-z][a-z_]*)*$`).MatchString,
	"--wait": func(text string) bool {
		_, err := time.ParseDuration(text)
		return err == nil && strings.ContainsAny(text[len(text)-1:], "smh")
	},
}

// joinValues joins --json and --wait with a value that follows after a space. Since their values
// are optional, the parser takes such a value for an argument. A word that the command can only use
// as an argument stays one, such as the NAME of kizo login.
func (a *app) joinValues() {
	for i := 0; i+1 < len(a.args) && a.args[i] != "--"; i++ {
		isValue := spacedValue[a.args[i]]
		if isValue == nil || !isValue(a.args[i+1]) || !a.isFlag(i) {
			continue
		}
		joined := joinAt(a.args, i)
		flagErr, argsErr := a.tryParse(joined)
		if flagErr == nil && argsErr == nil {
			a.args = joined
			continue
		}
		// A misspelled field is still a field if the command cannot use the word otherwise.
		if flagErr, argsErr := a.tryParse(a.args); flagErr == nil && (argsErr != nil || strings.Contains(a.args[i+1], ",")) {
			a.args = joined
		}
	}
}

func joinAt(args []string, i int) []string {
	return slices.Concat(args[:i], []string{args[i] + "=" + args[i+1]}, args[i+2:])
}

// tryParse parses a command line without running it.
func (a *app) tryParse(args []string) (flagErr, argsErr error) {
	trial := *a
	root := newRootCommand(&trial)
	cmd, rest, err := root.Find(args)
	if err != nil {
		return err, nil
	}
	if err := cmd.ParseFlags(rest); err != nil {
		return err, nil
	}
	return nil, cmd.ValidateArgs(cmd.Flags().Args())
}

// isFlag reports whether argument i is a flag, not the value of the one before it.
func (a *app) isFlag(i int) bool {
	trial := *a
	root := newRootCommand(&trial)
	cmd, rest, err := root.Find(a.args[:i+1])
	if err != nil || cmd.ParseFlags(rest) != nil {
		return false
	}
	name, _, _ := strings.Cut(strings.TrimPrefix(a.args[i], "--"), "=")
	flag := cmd.Flags().Lookup(name)
	return flag != nil && flag.Changed
}

// spaceHint returns the command line with an equals sign between a flag and its value; empty if
// that would not be valid either.
func (a *app) spaceHint() string {
	for i := 0; i+1 < len(a.args) && a.args[i] != "--"; i++ {
		arg, value := a.args[i], a.args[i+1]
		isTruth := value == "true" || value == "false"
		isNumber := arg == "--wait" && checkNumber(value) == nil
		if !strings.HasPrefix(arg, "--") || strings.Contains(arg, "=") || !isTruth && !isNumber || !a.isFlag(i) {
			continue
		}
		joined := joinAt(a.args, i)
		if flagErr, argsErr := a.tryParse(joined); flagErr == nil && argsErr == nil {
			better := *a
			better.args = joined
			return better.commandLine()
		}
	}
	return ""
}

// argumentKinds recognize values by the names that commands give their arguments.
var argumentKinds = map[string]func(string) bool{
	"TO":       func(text string) bool { return strings.Contains(text, "@") || isID(text) },
	"ID":       isID,
	"TRANSFER": isID,
	"AMOUNT": func(text string) bool {
		number, _, _ := strings.Cut(text, " ")
		return checkNumber(number) == nil
	},
	"CURRENCY": func(text string) bool {
		_, err := money.ParseCurrency(text)
		return err == nil
	},
	"OUTCOME": func(text string) bool { return slices.Contains(outcomes, text) },
}

func isID(text string) bool { return uuid.Validate(text) == nil }

// checkOrder makes every command check the order of its arguments as well as their number.
func (a *app) checkOrder(cmd *cobra.Command) {
	for _, below := range cmd.Commands() {
		a.checkOrder(below)
	}
	names, number := strings.Fields(cmd.Use)[1:], cmd.Args
	if len(names) < 2 {
		return
	}
	cmd.Args = func(cmd *cobra.Command, args []string) error {
		if err := number(cmd, args); err != nil {
			return err
		}
		return a.inOrder(names, args)
	}
}

// inOrder refuses arguments that are valid only in another order, and shows that order.
func (a *app) inOrder(names []string, args []string) error {
	var kinds []func(string) bool
	for _, name := range names[:min(len(names), len(args))] {
		kinds = append(kinds, argumentKinds[strings.Trim(name, "[]")])
	}
	if len(kinds) < 2 || slices.ContainsFunc(kinds, func(kind func(string) bool) bool { return kind == nil }) {
		return nil
	}
	ordered := arrange(kinds, args)
	if ordered == nil || slices.Equal(ordered, args) {
		return nil
	}
	better := *a
	better.args = slices.Clone(a.args)
	// Search from the end: an equal word before may be the value of a flag.
	from := len(better.args)
	for i, arg := range slices.Backward(args) {
		for from--; from >= 0 && better.args[from] != arg; from-- {
		}
		if from < 0 {
			return nil
		}
		better.args[from] = ordered[i]
	}
	return withHint(usagef("the order of the arguments is %s", strings.Join(names, " ")), better.commandLine())
}

// arrange finds the order in which each argument is of its kind, preferring the given one.
func arrange(kinds []func(string) bool, args []string) []string {
	if len(kinds) == 0 {
		return []string{}
	}
	for i, arg := range args {
		if !kinds[0](arg) {
			continue
		}
		if rest := arrange(kinds[1:], slices.Concat(args[:i], args[i+1:])); rest != nil {
			return append([]string{arg}, rest...)
		}
	}
	return nil
}
