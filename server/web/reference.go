package web

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
)

// reference is what reference.html shows.
type reference struct {
	Version string
	TryOut  bool
	Intro   string
	Groups  []group
	Schemas []shownSchema
}

type group struct {
	Name, Description string
	Operations        []shownOperation
}

type shownOperation struct {
	ID, Method, Path      string
	Summary, Description  string
	Access                string // who may call it
	Parameters            []field
	Body                  *valueType
	Answers               []answer
	Example, ExampleBody  string // a command; the JSON of its body
	InPath, InQuery, Keys []field
}

// field is a row of a table: a parameter or a property.
type field struct {
	Name, In, Description string
	Required              bool
	Type                  valueType
}

// valueType is how a type is written: "array of ", a link to the schema if there is one, and what
// is allowed.
type valueType struct {
	Prefix, Name, Limits string
	Link                 bool
}

type answer struct {
	Status, Description string
	Type                *valueType
}

type shownSchema struct {
	Name, Description string
	Fields            []field
	Type              valueType // of a schema without fields
	Values            []string
}

// Reference renders the contract, openapi.yaml, as a page. With tryOut, each operation has a form
// that sends it to the server of the page; the access token that a reader enters stays in the
// memory of the page.
func Reference(text []byte, version string, tryOut bool) (string, error) {
	c, err := parseContract(text)
	if err != nil {
		return "", err
	}
	schemas, err := c.schemas()
	if err != nil {
		return "", err
	}
	r := &renderer{contract: c, byName: map[string]schema{}}
	for _, s := range schemas {
		r.byName[s.Name] = s.schema
	}
	page := reference{Version: version, TryOut: tryOut, Intro: c.Info.Description}
	if page.Groups, err = r.groups(); err != nil {
		return "", err
	}
	for _, s := range schemas {
		page.Schemas = append(page.Schemas, r.schema(s))
	}
	if r.err != nil {
		return "", r.err
	}
	return render("reference.html", page)
}

type renderer struct {
	contract *contract
	byName   map[string]schema
	err      error // the first, of a schema that cannot be parsed
}

func (r *renderer) groups() ([]group, error) {
	var groups []group
	at := map[string]int{}
	for i, tag := range r.contract.Tags {
		groups = append(groups, group{Name: tag.Name, Description: tag.Description})
		at[tag.Name] = i
	}
	for path, methods := range entries(r.contract.Paths) {
		for method, node := range entries(*methods) {
			var o operation
			if err := node.Decode(&o); err != nil {
				return nil, fmt.Errorf("parse %s %s: %w", method, path, err)
			}
			if len(o.Tags) != 1 {
				return nil, fmt.Errorf("%s %s has %d tags, want 1", method, path, len(o.Tags))
			}
			i, known := at[o.Tags[0]]
			if !known {
				return nil, fmt.Errorf("%s %s has the unknown tag %q", method, path, o.Tags[0])
			}
			shown, err := r.operation(strings.ToUpper(method), path, o)
			if err != nil {
				return nil, err
			}
			groups[i].Operations = append(groups[i].Operations, shown)
		}
	}
	return groups, nil
}

func (r *renderer) operation(method, path string, o operation) (shownOperation, error) {
	shown := shownOperation{
		ID: o.OperationID, Method: method, Path: path, Summary: o.Summary, Description: o.Description, Access: access(o),
	}
	for _, p := range o.Parameters {
		p = r.contract.parameter(p)
		f := field{Name: p.Name, In: p.In, Description: p.Description, Required: p.Required, Type: typeOf(p.Schema)}
		shown.Parameters = append(shown.Parameters, f)
		switch p.In {
		case "path":
			shown.InPath = append(shown.InPath, f)
		case "query":
			shown.InQuery = append(shown.InQuery, f)
		}
		if p.Name == "Idempotency-Key" {
			shown.Keys = append(shown.Keys, f)
		}
	}
	if o.RequestBody != nil {
		content := r.contract.body(*o.RequestBody).Content["application/json"].Schema
		t := typeOf(content)
		shown.Body = &t
		example, err := json.MarshalIndent(r.example(content, 0), "", "  ")
		if err != nil {
			return shown, fmt.Errorf("an example for %s %s: %w", method, path, err)
		}
		shown.ExampleBody = string(example)
	}
	for status, node := range entries(o.Responses) {
		var a response
		if err := node.Decode(&a); err != nil {
			return shown, fmt.Errorf("parse the answers of %s %s: %w", method, path, err)
		}
		a = r.contract.response(a)
		one := answer{Status: status, Description: a.Description}
		for _, mediaType := range slices.Sorted(maps.Keys(a.Content)) {
			t := typeOf(a.Content[mediaType].Schema)
			one.Type = &t
		}
		shown.Answers = append(shown.Answers, one)
	}
	shown.Example = shown.command(o)
	return shown, nil
}

func access(o operation) string {
	switch {
	case o.Security != nil && len(*o.Security) == 0:
		return "no token"
	case len(o.Scopes) == 0:
		return "a session"
	default:
		return "a session, or an API key with the scope `" + strings.Join(o.Scopes, "` or `") + "`"
	}
}

// command returns the operation as a command for a shell.
func (o shownOperation) command(from operation) string {
	var b strings.Builder
	b.WriteString("curl -sS")
	if o.Method != http.MethodGet {
		b.WriteString(" -X " + o.Method)
	}
	b.WriteString(` "$KIZO_SERVER` + o.Path + `"`)
	if from.Security == nil || len(*from.Security) > 0 {
		b.WriteString(` \` + "\n  " + `-H "Authorization: Bearer $TOKEN"`)
	}
	if len(o.Keys) > 0 {
		b.WriteString(` \` + "\n  " + `-H "Idempotency-Key: rent-2026-11"`)
	}
	if o.Body != nil {
		b.WriteString(` \` + "\n  -H 'Content-Type: application/json' \\\n  -d '" + strings.ReplaceAll(o.ExampleBody, "'", `'\''`) + "'")
	}
	return b.String()
}

// typeOf says in one line what a value is.
func typeOf(s schema) valueType {
	switch {
	case s.Ref != "":
		return valueType{Name: refName(s.Ref), Link: true}
	case len(s.AllOf) == 1:
		return typeOf(s.AllOf[0])
	case s.Type == "array" && s.Items != nil:
		t := typeOf(*s.Items)
		t.Prefix = "array of " + t.Prefix
		if s.MaxItems != nil {
			t.Limits = strings.TrimPrefix(t.Limits+fmt.Sprintf(", at most %d items", *s.MaxItems), ", ")
		}
		return t
	case s.Type == "":
		return valueType{Name: "any value"}
	}
	t := valueType{Name: s.Type}
	if s.Format != "" {
		t.Name += " (" + s.Format + ")"
	}
	var limits []string
	add := func(format string, args ...any) { limits = append(limits, fmt.Sprintf(format, args...)) }
	if s.Minimum != nil {
		add("at least %d", *s.Minimum)
	}
	if s.Maximum != nil {
		add("at most %d", *s.Maximum)
	}
	if s.MinLength != nil {
		add("at least %d characters", *s.MinLength)
	}
	if s.MaxLength != nil {
		add("at most %d characters", *s.MaxLength)
	}
	if len(s.Enum) > 0 {
		add("one of %s", strings.Join(s.Enum, ", "))
	}
	t.Limits = strings.Join(limits, ", ")
	return t
}

// properties returns the properties of an object, those of all its parts together.
func (r *renderer) properties(s schema) []field {
	var fields []field
	for _, part := range s.AllOf {
		if part.Ref != "" {
			part = r.byName[refName(part.Ref)]
		}
		fields = append(fields, r.properties(part)...)
	}
	for name, node := range entries(s.Properties) {
		var p schema
		if err := node.Decode(&p); err != nil {
			r.err = fmt.Errorf("parse the property %s: %w", name, err)
			return fields
		}
		fields = append(fields, field{Name: name, Description: p.Description, Required: slices.Contains(s.Required, name), Type: typeOf(p)})
	}
	return fields
}

func (r *renderer) schema(s namedSchema) shownSchema {
	return shownSchema{Name: s.Name, Description: s.Description, Fields: r.properties(s.schema), Type: typeOf(s.schema), Values: s.Enum}
}

// maxExampleDepth bounds examples, since a schema may contain itself.
const maxExampleDepth = 4

// example returns a value with the required properties of a schema; it is for readers, who replace
// what is in it.
func (r *renderer) example(s schema, depth int) any {
	switch {
	case s.Example != nil:
		return s.Example
	case depth > maxExampleDepth:
		return nil
	case s.Ref != "":
		return r.example(r.byName[refName(s.Ref)], depth+1)
	case len(s.Enum) > 0:
		return s.Enum[0]
	case s.Type == "array" && s.Items != nil:
		return []any{r.example(*s.Items, depth+1)}
	case s.Type == "integer" || s.Type == "number":
		if s.Minimum != nil && *s.Minimum > 1 {
			return *s.Minimum
		}
		return 1
	case s.Type == "boolean":
		return true
	case s.Type == "string":
		return exampleText(s.Format)
	}
	object := map[string]any{}
	for name, p := range r.exampleProperties(s) {
		object[name] = r.example(p, depth+1)
	}
	return object
}

// exampleProperties returns the required properties of an object, or all if none is required.
func (r *renderer) exampleProperties(s schema) map[string]schema {
	chosen := map[string]schema{}
	for _, part := range s.AllOf {
		if part.Ref != "" {
			part = r.byName[refName(part.Ref)]
		}
		maps.Copy(chosen, r.exampleProperties(part))
	}
	for name, node := range entries(s.Properties) {
		var p schema
		if err := node.Decode(&p); err != nil {
			r.err = fmt.Errorf("parse the property %s: %w", name, err)
			return chosen
		}
		if len(s.Required) == 0 || slices.Contains(s.Required, name) {
			chosen[name] = p
		}
	}
	return chosen
}

func exampleText(format string) string {
	switch format {
	case "uuid":
		return "0197a7c2-5f0e-7c3b-9d53-0b6f7f1a2c4d"
	case "date-time":
		return "2026-01-31T12:00:00Z"
	case "email":
		return "ada@example.com"
	default:
		return "…"
	}
}
