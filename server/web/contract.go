package web

import (
	"fmt"
	"iter"
	"strings"

	"go.yaml.in/yaml/v3"
)

// contract is the part of an OpenAPI 3.0 document that the reference shows. Mappings whose order
// matters to readers stay nodes.
type contract struct {
	Info struct {
		Description string
	}
	Tags       []struct{ Name, Description string }
	Paths      yaml.Node
	Components struct {
		Parameters    map[string]parameter
		Headers       map[string]struct{ Description string }
		RequestBodies map[string]body `yaml:"requestBodies"`
		Responses     map[string]response
		Schemas       yaml.Node
	}
}

type operation struct {
	OperationID string `yaml:"operationId"`
	Tags        []string
	Summary     string
	Description string
	Scopes      []string            `yaml:"x-scopes"`
	Security    *[]map[string][]any // the empty list: no token
	Parameters  []parameter
	RequestBody *body `yaml:"requestBody"`
	Responses   yaml.Node
}

type parameter struct {
	Ref         string `yaml:"$ref"`
	Name        string
	In          string
	Description string
	Required    bool
	Schema      schema
}

type body struct {
	Ref     string `yaml:"$ref"`
	Content map[string]struct{ Schema schema }
}

type response struct {
	Ref         string `yaml:"$ref"`
	Description string
	Content     map[string]struct{ Schema schema }
}

type schema struct {
	Ref         string `yaml:"$ref"`
	Type        string
	Format      string
	Description string
	Enum        []string
	Pattern     string
	Nullable    bool
	Minimum     *int64
	Maximum     *int64
	MinLength   *int64 `yaml:"minLength"`
	MaxLength   *int64 `yaml:"maxLength"`
	MaxItems    *int64 `yaml:"maxItems"`
	Items       *schema
	Properties  yaml.Node
	Required    []string
	AllOf       []schema  `yaml:"allOf"`
	AnyOf       []schema  `yaml:"anyOf"`
	OneOf       []schema  `yaml:"oneOf"`
	Others      yaml.Node `yaml:"additionalProperties"`
	Example     any
}

func parseContract(text []byte) (*contract, error) {
	var c contract
	if err := yaml.Unmarshal(text, &c); err != nil {
		return nil, fmt.Errorf("parse the contract: %w", err)
	}
	return &c, nil
}

// entries returns the keys and values of a mapping, in the order of the document.
func entries(mapping yaml.Node) iter.Seq2[string, *yaml.Node] {
	return func(yield func(string, *yaml.Node) bool) {
		for i := 0; i+1 < len(mapping.Content); i += 2 {
			if !yield(mapping.Content[i].Value, mapping.Content[i+1]) {
				return
			}
		}
	}
}

// refName returns the last part of a reference within the document.
func refName(ref string) string { return ref[strings.LastIndex(ref, "/")+1:] }

// schemas returns the schemas of the components, in their order.
func (c *contract) schemas() ([]namedSchema, error) {
	var all []namedSchema
	for name, node := range entries(c.Components.Schemas) {
		var s schema
		if err := node.Decode(&s); err != nil {
			return nil, fmt.Errorf("parse the schema %s: %w", name, err)
		}
		all = append(all, namedSchema{name, s})
	}
	return all, nil
}

type namedSchema struct {
	Name string
	schema
}

func (c *contract) parameter(p parameter) parameter {
	if p.Ref != "" {
		return c.Components.Parameters[refName(p.Ref)]
	}
	return p
}

func (c *contract) body(b body) body {
	if b.Ref != "" {
		return c.Components.RequestBodies[refName(b.Ref)]
	}
	return b
}

func (c *contract) response(r response) response {
	if r.Ref != "" {
		return c.Components.Responses[refName(r.Ref)]
	}
	return r
}
