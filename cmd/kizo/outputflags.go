package main

import (
	"encoding/json"
	"reflect"
	"slices"
	"strings"
	"text/template"

	"github.com/itchyny/gojq"
	"github.com/spf13/cobra"
)

// format is a form in which results are printed.
type format string

const (
	formatTable format = "table" // aligned, times as ages, narrowed to the terminal
	formatWide  format = "wide"  // as table, with all columns whole
	formatTSV   format = "tsv"
	formatCSV   format = "csv"
	formatJSONL format = "jsonl" // one JSON value on each line
	formatJSON  format = "json"
	formatID    format = "id" // one id on each line
)

var formats = []string{"table", "wide", "tsv", "csv", "jsonl", "json", "id"}

// outputFlags are the flags that choose how a command prints its result: --output, --json, --jq,
// --template and --header. The zero value prints a table on a terminal and TSV in a pipe.
type outputFlags struct {
	app     *app
	known   []string // the JSON fields
	columns []column // of the other formats; none if the command has only JSON

	chosen   format   // by --output
	json     bool     // --json
	fields   []string // of --json=field,...; empty: all
	help     bool     // --json=help
	jq       *gojq.Code
	template *template.Template
	header   string // yes or no; empty: as the format has it
}

// allFields is the value of a bare --json.
const allFields = "all"

// addTo adds the flags to a command that prints values like sample in JSON, and these columns in
// the other formats. cmd has its Args and its RunE already.
func (f *outputFlags) addTo(cmd *cobra.Command, a *app, sample any, columns ...column) {
	f.app, f.known, f.columns = a, fieldsOf(reflect.TypeOf(sample)), columns
	a.outputs = append(a.outputs, documented{cmd, f})
	flags := cmd.Flags()
	flags.VarP(&flagValue{kind: "FORMAT", set: f.setFormat}, "output", "o", "print "+joinOr(formats)+": kizo help formatting")
	asJSON := flags.VarPF(&flagValue{kind: "field,...", set: f.setJSON}, "json", "", "print JSON, amounts in minor units; fields: "+strings.Join(f.known, ","))
	asJSON.NoOptDefVal = allFields
	flags.Var(&flagValue{kind: "FILTER", set: f.setJQ}, "jq", "filter the JSON, as jq does; strings are printed without quotes")
	flags.Var(&flagValue{kind: "TEXT", set: f.setTemplate}, "template", "print the JSON by a Go template: kizo help formatting")
	for name, usage := range map[string]string{"header": "begin tsv with the names of the columns", "no-header": "leave the names of the columns out"} {
		flags.VarPF(&flagValue{kind: "bool", set: func(text string) error { return f.setHeader(name, text) }}, name, "", usage).NoOptDefVal = "true"
	}
	_ = cmd.RegisterFlagCompletionFunc("output", completeWord(formats))
	_ = cmd.RegisterFlagCompletionFunc("json", completeList(append(f.known, "help")))

	args, run := cmd.Args, cmd.RunE
	cmd.Args = func(cmd *cobra.Command, given []string) error {
		if f.help {
			return nil
		}
		return args(cmd, given)
	}
	cmd.RunE = func(cmd *cobra.Command, given []string) error {
		if f.help {
			return a.write(strings.Join(f.known, "\n") + "\n")
		}
		return run(cmd, given)
	}
}

// documented is a command and what it prints.
type documented struct {
	command *cobra.Command
	output  *outputFlags
}

// flagValue is a flag that calls a function when it is set.
type flagValue struct {
	kind string
	set  func(string) error
	text string
}

func (v *flagValue) Type() string   { return v.kind }
func (v *flagValue) String() string { return v.text }
func (v *flagValue) Set(text string) error {
	if text == "" {
		return usagef("it is empty: give it a value, or leave it out")
	}
	v.text = text
	return v.set(text)
}

func (f *outputFlags) setFormat(text string) error {
	if err := checkChoice(text, formats); err != nil {
		return err
	}
	f.chosen = format(text)
	switch {
	case f.chosen == formatJSON || f.chosen == formatJSONL:
	case len(f.columns) == 0:
		return usagef("this command prints json and jsonl, not %s", text)
	case f.chosen == formatID && f.idColumn() < 0:
		return usagef("what this command prints has no ids")
	}
	return f.check()
}

func (f *outputFlags) setJSON(text string) error {
	f.json = true
	switch text {
	case allFields:
		return f.check()
	case "help":
		f.help = true
		return nil
	}
	for field := range strings.SplitSeq(text, ",") {
		if !slices.Contains(f.known, field) {
			return unknownWord(usagef("unknown field %q; the fields are: %s", field, strings.Join(f.known, ",")), field, f.known)
		}
		f.fields = append(f.fields, field)
	}
	return f.check()
}

func (f *outputFlags) setHeader(name, text string) error {
	if text != "true" && text != "false" {
		return usagef("--%s is true or false, not %q", name, text)
	}
	f.header = map[bool]string{true: "yes", false: "no"}[(name == "header") == (text == "true")]
	return nil
}

// check refuses flags that exclude each other, and tells the app the format.
func (f *outputFlags) check() error {
	asJSON := f.json || f.jq != nil || f.template != nil
	if asJSON && f.chosen != "" && f.chosen != formatJSON && f.chosen != formatJSONL {
		return usagef("--output %s does not go with --json, --jq or --template", f.chosen)
	}
	if f.jq != nil && f.template != nil {
		return usagef("--jq does not go with --template")
	}
	f.app.format = f.format()
	f.app.json = f.wantsJSON() && f.template == nil
	return nil
}

// format returns the form of the result; it is empty if no flag has chosen one.
func (f *outputFlags) format() format {
	if f.chosen == "" && (f.json || f.jq != nil || f.template != nil) {
		return formatJSON
	}
	return f.chosen
}

// wantsJSON reports whether the result is printed as JSON, or from it.
func (f *outputFlags) wantsJSON() bool {
	return f.format() == formatJSON || f.format() == formatJSONL
}

func columnNames(columns []column) []string {
	names := make([]string, len(columns))
	for i, c := range columns {
		names[i] = c.name()
	}
	return names
}

// wantsHeader reports whether the rows of a format begin with the names of the columns.
func (f *outputFlags) wantsHeader(of format) bool {
	if f.header == "" {
		return of != formatTSV
	}
	return f.header == "yes"
}

// idColumn returns the column of the ids, or -1.
func (f *outputFlags) idColumn() int {
	return slices.IndexFunc(f.columns, func(c column) bool { return c.id })
}

// asksForJSON finds the flags before the command line is parsed, because parsing may fail.
func asksForJSON(args []string) bool {
	for i, arg := range args {
		if arg == "--" {
			return false
		}
		name, value, hasValue := strings.Cut(arg, "=")
		switch {
		case name == "--json", name == "--jq":
			return true
		case name == "--output" && hasValue:
		case name == "--output" || arg == "-o":
			if i+1 < len(args) {
				value = args[i+1]
			}
		case strings.HasPrefix(arg, "-o"):
			value = strings.TrimPrefix(strings.TrimPrefix(arg, "-o"), "=")
		default:
			continue
		}
		if value == string(formatJSON) || value == string(formatJSONL) {
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
