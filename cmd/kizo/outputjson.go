package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"math/big"
	"reflect"
	"strings"
	"text/template"

	"github.com/itchyny/gojq"

	"github.com/JDevAman/kizo/internal/printable"
)

// printJSON prints a value, or the items of a slice, with the chosen fields, through the filter or
// the template if there is one. An array is printed as such by json, and as one line for each item
// by jsonl; a filter receives the same. JSON is indented on a terminal.
func (a *app) printJSON(flags outputFlags, value any) error {
	values := []any{value}
	if items := reflect.ValueOf(value); items.Kind() == reflect.Slice && items.Type() != reflect.TypeFor[json.RawMessage]() {
		list := make([]any, items.Len()) // never nil: no items are [], not null
		for i := range list {
			list[i] = items.Index(i).Interface()
		}
		if values[0] = list; flags.format() == formatJSONL {
			values = list
		}
	}
	var out bytes.Buffer
	for _, value := range values {
		picked, err := flags.pickAll(value)
		if err == nil {
			err = flags.encode(&out, picked, a.io.OutTerminal && flags.format() == formatJSON)
		}
		if err != nil {
			return unwritten(err)
		}
	}
	return a.write(out.String())
}

// pickAll returns the chosen fields of a value, or of each item of a list.
func (f *outputFlags) pickAll(value any) (any, error) {
	list, isList := value.([]any)
	if !isList {
		return f.pick(value)
	}
	picked := make([]any, len(list))
	for i, item := range list {
		var err error
		if picked[i], err = f.pick(item); err != nil {
			return nil, err
		}
	}
	return picked, nil
}

// encode writes one JSON value, or what the filter or the template makes of it.
func (f *outputFlags) encode(out *bytes.Buffer, value any, indent bool) error {
	if f.jq == nil && f.template == nil {
		return writeJSON(out, value, indent)
	}
	plain, err := plainJSON(value)
	if err != nil {
		return err
	}
	if f.template != nil {
		var text strings.Builder
		if err := f.template.Execute(&text, f.withAllFields(plain)); err != nil {
			return err
		}
		out.WriteString(printableLines(text.String()))
		return nil
	}
	for results := f.jq.Run(plain); ; {
		switch result, more := results.Next(); result := result.(type) {
		case error:
			if halt, ok := errors.AsType[*gojq.HaltError](result); ok && halt.Value() == nil {
				return nil
			}
			return fmt.Errorf("--jq: %w", result)
		case string:
			out.WriteString(printableLines(result) + "\n")
		default:
			if !more {
				return nil
			}
			if err := writeJSON(out, result, indent); err != nil {
				return err
			}
		}
	}
}

func writeJSON(out *bytes.Buffer, value any, indent bool) error {
	var text bytes.Buffer
	encoder := json.NewEncoder(&text)
	encoder.SetEscapeHTML(false)
	if indent {
		encoder.SetIndent("", "  ")
	}
	if err := encoder.Encode(value); err != nil {
		return err
	}
	out.Write(printable.JSON(text.Bytes()))
	return nil
}

// printableLines is [printable.Text] for text that the user has laid out with tabs and line ends.
func printableLines(text string) string {
	lines := strings.Split(text, "\n")
	for i, line := range lines {
		fields := strings.Split(line, "\t")
		for k, field := range fields {
			fields[k] = printable.Text(field)
		}
		lines[i] = strings.Join(fields, "\t")
	}
	return strings.Join(lines, "\n")
}

// plainJSON converts a value to maps, slices, strings and whole numbers of any size.
func plainJSON(value any) (any, error) {
	text, err := json.Marshal(value)
	if err != nil {
		return nil, err
	}
	decoder := json.NewDecoder(bytes.NewReader(text))
	decoder.UseNumber()
	var plain any
	if err := decoder.Decode(&plain); err != nil {
		return nil, err
	}
	return wholeNumbers(plain), nil
}

// wholeNumbers replaces the numbers of JSON by those of jq, so that amounts stay exact.
func wholeNumbers(value any) any {
	switch value := value.(type) {
	case json.Number:
		if n, err := value.Int64(); err == nil {
			if int64(int(n)) == n {
				return int(n)
			}
		}
		if n, ok := new(big.Int).SetString(value.String(), 10); ok {
			return n
		}
		n, _ := value.Float64()
		return n
	case []any:
		for i := range value {
			value[i] = wholeNumbers(value[i])
		}
	case map[string]any:
		for name := range value {
			value[name] = wholeNumbers(value[name])
		}
	}
	return value
}

// withAllFields gives each object the fields that it lacks, as empty texts, so that a template can
// name them.
func (f *outputFlags) withAllFields(value any) any {
	switch value := value.(type) {
	case []any:
		for _, item := range value {
			f.withAllFields(item)
		}
	case map[string]any:
		for _, name := range f.known {
			if value[name] == nil {
				value[name] = ""
			}
		}
	}
	return value
}

func (f *outputFlags) setJQ(text string) error {
	query, err := gojq.Parse(text)
	if err != nil {
		return usagef("--jq %q: %v", text, err)
	}
	// Without an environment: a filter copied from elsewhere cannot read KIZO_TOKEN.
	if f.jq, err = gojq.Compile(query, gojq.WithEnvironLoader(func() []string { return nil })); err != nil {
		return usagef("--jq %q: %v", text, err)
	}
	return f.check()
}

func (f *outputFlags) setTemplate(text string) (err error) {
	f.template, err = template.New("--template").Funcs(template.FuncMap{
		"money": func(minor int, currency string) string { return amountOf(int64(minor), currency) },
		"json": func(value any) (string, error) {
			text, err := json.Marshal(value)
			return string(text), err
		},
	}).Parse(text)
	if err != nil {
		return usagef("%v", err)
	}
	return f.check()
}
