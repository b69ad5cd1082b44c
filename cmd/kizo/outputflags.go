package main

import (
	"encoding/json"
	"reflect"
	"slices"
	"strings"

	"github.com/spf13/cobra"
)

// outputFlags are the flags that choose how a result is printed: --json[=field,...].
type outputFlags struct {
	set    bool     // --json
	fields []string // empty: all
	known  []string
	app    *app
}

// allFields is the value of a bare --json.
const allFields = "all"

// addTo adds the flag to a command that prints values like sample.
func (f *outputFlags) addTo(cmd *cobra.Command, a *app, sample any) {
	f.app, f.known = a, fieldsOf(reflect.TypeOf(sample))
	flag := cmd.Flags().VarPF(f, "json", "", "print JSON, amounts in minor units; fields: "+strings.Join(f.known, ","))
	flag.NoOptDefVal = allFields
	_ = cmd.RegisterFlagCompletionFunc("json", cobra.FixedCompletions(f.known, cobra.ShellCompDirectiveNoFileComp))
}

// wantsJSON reports whether the result is printed as JSON.
func (f *outputFlags) wantsJSON() bool { return f.set }

func (f *outputFlags) Type() string   { return "field,..." }
func (f *outputFlags) String() string { return strings.Join(f.fields, ",") }

func (f *outputFlags) Set(text string) error {
	f.set, f.app.json = true, true
	if text == allFields {
		return nil
	}
	for field := range strings.SplitSeq(text, ",") {
		if !slices.Contains(f.known, field) {
			return unknownWord(usagef("unknown field %q; the fields are: %s", field, strings.Join(f.known, ",")), field, f.known)
		}
		f.fields = append(f.fields, field)
	}
	return nil
}

// asksForJSON finds the flag before the command line is parsed, because parsing may fail.
func asksForJSON(args []string) bool {
	for _, arg := range args {
		if arg == "--" {
			return false
		}
		if arg == "--json" || strings.HasPrefix(arg, "--json=") {
			return true
		}
	}
	return false
}

// fieldsOf returns the JSON names of a struct's fields, including those of embedded structs.
func fieldsOf(t reflect.Type) []string {
	var names []string
	for field := range fieldsIn(t) {
		name, _, _ := strings.Cut(field.Tag.Get("json"), ",")
		if name != "" && name != "-" {
			names = append(names, name)
		}
	}
	return names
}

func fieldsIn(t reflect.Type) func(func(reflect.StructField) bool) {
	return func(yield func(reflect.StructField) bool) {
		for _, field := range reflect.VisibleFields(t) {
			if !field.Anonymous && !yield(field) {
				return
			}
		}
	}
}

// pick returns the chosen fields of a value in the requested order, null for those it lacks.
func (f *outputFlags) pick(value any) (any, error) {
	if len(f.fields) == 0 {
		return value, nil
	}
	text, err := json.Marshal(value)
	if err != nil {
		return nil, err
	}
	var all map[string]json.RawMessage
	if err := json.Unmarshal(text, &all); err != nil {
		return nil, err
	}
	var out strings.Builder
	for i, field := range f.fields {
		member, present := all[field]
		if !present {
			member = json.RawMessage("null")
		}
		out.WriteString(map[bool]string{true: "{", false: ","}[i == 0])
		out.WriteString(`"` + field + `":` + string(member))
	}
	return json.RawMessage(out.String() + "}"), nil
}
