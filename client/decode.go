package client

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"reflect"
	"strings"
	"sync"
)

// decode decodes an answer. An answer without a field that the contract requires is an error: {} is
// valid JSON, and would otherwise be an empty wallet or a user created in the year 1.
func decode(body []byte, into any) error {
	if err := json.Unmarshal(body, into); err != nil {
		return err
	}
	return complete(body, reflect.TypeOf(into).Elem(), "the answer")
}

// complete returns an error for a required part that a valid document lacks. A field of a generated
// type is required if its tag has no omitempty; it may be null if it is a pointer.
func complete(document []byte, t reflect.Type, name string) error {
	scan := scanner{text: document}
	if mismatch := scan.check(t); mismatch != nil {
		return fmt.Errorf("%s %s", strings.TrimPrefix(name+mismatch.path, name+"."), mismatch.why)
	}
	return nil
}

// mismatch is a part of a document that its type does not allow, or that is missing.
type mismatch struct{ path, why string }

func (l *mismatch) in(part string) *mismatch { return &mismatch{part + l.path, l.why} }

// scanner reads valid JSON once, from the beginning to the end.
type scanner struct {
	text []byte
	at   int
}

// next skips white space and returns the character after it, or 0 at the end.
func (s *scanner) next() byte {
	for ; s.at < len(s.text); s.at++ {
		if c := s.text[s.at]; c != ' ' && c != '\n' && c != '\t' && c != '\r' {
			return c
		}
	}
	return 0
}

// skip skips a value.
func (s *scanner) skip() {
	switch s.next() {
	case '"':
		s.str()
	case '{', '[':
		depth := 0
		for {
			switch s.next() {
			case '"':
				s.str()
				continue
			case '{', '[':
				depth++
			case '}', ']':
				depth--
			case 0:
				return
			}
			if s.at++; depth == 0 {
				return
			}
		}
	default:
		for ; s.at < len(s.text); s.at++ {
			switch s.text[s.at] {
			case ',', ']', '}', ' ', '\n', '\t', '\r':
				return
			}
		}
	}
}

// str skips a string and returns it with its quotes.
func (s *scanner) str() []byte {
	from := s.at
	for s.at++; s.at < len(s.text); s.at++ {
		switch s.text[s.at] {
		case '\\':
			s.at++
		case '"':
			s.at++
			return s.text[from:s.at]
		}
	}
	return s.text[from:]
}

// check reads the next value, and returns its first mismatch with type t, or nil.
func (s *scanner) check(t reflect.Type) *mismatch {
	begin := s.next()
	if begin == 'n' || begin == 0 {
		s.skip()
		if t.Kind() == reflect.Pointer {
			return nil
		}
		return &mismatch{why: "is missing"}
	}
	shape := shapeOf(t)
	switch {
	case shape.fields != nil && begin != '{':
		return &mismatch{why: "is not an object"}
	case shape.fields != nil:
		return s.checkObject(shape)
	case shape.item != nil && begin != '[':
		return &mismatch{why: "is not a list"}
	case shape.item != nil:
		return s.checkList(shape.item)
	}
	s.skip()
	return nil
}

func (s *scanner) checkList(item reflect.Type) *mismatch {
	s.at++
	for i := 0; ; i++ {
		switch s.next() {
		case ']':
			s.at++
			return nil
		case ',':
			s.at++
		}
		if l := s.check(item); l != nil {
			return l.in(fmt.Sprintf("[%d]", i))
		}
	}
}

func (s *scanner) checkObject(object *shape) *mismatch {
	var seen uint64
	s.at++
	for {
		switch s.next() {
		case '}':
			s.at++
			for i, f := range object.fields {
				if !f.optional && seen&(1<<i) == 0 {
					return &mismatch{"." + f.key, "is missing"}
				}
			}
			return nil
		case ',':
			s.at++
			s.next()
		}
		i, known := object.index[string(memberName(s.str()))]
		s.next()
		s.at++ // the colon
		if !known || object.fields[i].optional && s.next() == 'n' {
			s.skip()
			continue
		}
		seen |= 1 << i
		if l := s.check(object.fields[i].kind); l != nil {
			return l.in("." + object.fields[i].key)
		}
	}
}

// memberName returns the name of a member, without quotes and escapes.
func memberName(quoted []byte) []byte {
	if !bytes.Contains(quoted, []byte{'\\'}) {
		return quoted[1 : len(quoted)-1]
	}
	var name string
	if json.Unmarshal(quoted, &name) != nil {
		return nil
	}
	return []byte(name)
}

// shape says which parts a document of a type must have. Both fields are nil if there are none.
type shape struct {
	fields []field // of an object; at most 64
	index  map[string]int
	item   reflect.Type // of a list
}

type field struct {
	key      string
	kind     reflect.Type
	optional bool
}

var (
	unmarshaler = reflect.TypeFor[json.Unmarshaler]()
	shapes      sync.Map // of *shape, by reflect.Type: the types of the contract
)

func shapeOf(t reflect.Type) *shape {
	if known, ok := shapes.Load(t); ok {
		return known.(*shape) //nolint:forcetypeassert // only shapes are stored
	}
	made := newShape(t)
	shapes.Store(t, made)
	return made
}

func newShape(t reflect.Type) *shape {
	if t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	switch {
	case reflect.PointerTo(t).Implements(unmarshaler):
		return &shape{}
	case t.Kind() == reflect.Slice && t.Elem().Kind() != reflect.Uint8: // bytes are encoded as a string
		return &shape{item: t.Elem()}
	case t.Kind() != reflect.Struct:
		return &shape{}
	}
	object := &shape{fields: []field{}, index: make(map[string]int)}
	for i := range t.NumField() {
		f := t.Field(i)
		key, options, _ := strings.Cut(f.Tag.Get("json"), ",")
		if key == "" || key == "-" {
			continue
		}
		object.index[key] = len(object.fields)
		object.fields = append(object.fields, field{key, f.Type, strings.Contains(options, "omitempty")})
	}
	if len(object.fields) > 64 {
		panic(t.String() + " has too many fields")
	}
	return object
}

// protocolError returns the error for an answer that the contract does not allow.
func (c *Client) protocolError(cause error) error {
	return &ProtocolError{Server: c.Server(), Err: cause}
}

// checkNoContent checks the answer to an operation that has no result. Without this check, any page
// of a proxy with status 200 would count as success.
func (c *Client) checkNoContent(a *answer) error {
	if a.status != http.StatusNoContent {
		return c.protocolError(fmt.Errorf("status %d instead of %d", a.status, http.StatusNoContent))
	}
	return nil
}
