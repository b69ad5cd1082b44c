package api

import "encoding/json"

// plainMembers returns the members of a plain body: one object of ASCII text, numbers, true and
// false, without escapes, null or a repeated name. A value may be a list of such objects. Nearly
// all bodies are plain. Two parsers cannot read a plain body differently, and plainMembers takes a
// fifth of the time of checkTokens. For any other body it returns false.
func plainMembers(body []byte) (members, bool) {
	s := scanner{rest: body}
	all, ok := s.object(true)
	s.blank()
	return all, ok && len(s.rest) == 0
}

// object skips an object and returns its members. Only where lists are allowed may a value be one.
func (s *scanner) object(lists bool) (members, bool) {
	if !s.next('{') {
		return nil, false
	}
	all := make(members, 0, 8)
	for more := true; more; more = s.next(',') {
		name, ok := s.text()
		if all.find(string(name)) != nil || !ok || !s.next(':') || len(all) == cap(all) {
			return nil, false
		}
		one := member{name: string(name)}
		if s.blank(); lists && len(s.rest) > 0 && s.rest[0] == '[' {
			one.raw, one.rows, ok = s.list()
		} else {
			one.raw, ok = s.value()
		}
		if !ok {
			return nil, false
		}
		all = append(all, one)
	}
	return all, s.next('}')
}

// list skips a list of one or more objects, and returns it as text and as their members.
func (s *scanner) list() (raw []byte, rows []members, ok bool) {
	before := s.rest
	s.next('[')
	for more := true; more; more = s.next(',') {
		row, ok := s.object(false)
		if !ok {
			return nil, nil, false
		}
		rows = append(rows, row)
	}
	ok = s.next(']')
	return before[:len(before)-len(s.rest)], rows, ok
}

// scanner reads a plain body from its beginning to its end.
type scanner struct{ rest []byte }

// blank skips white space.
func (s *scanner) blank() {
	for len(s.rest) > 0 && (s.rest[0] == ' ' || s.rest[0] == '\n' || s.rest[0] == '\t' || s.rest[0] == '\r') {
		s.rest = s.rest[1:]
	}
}

// next skips blanks and then the byte, and reports whether the byte was there.
func (s *scanner) next(want byte) bool {
	s.blank()
	if len(s.rest) == 0 || s.rest[0] != want {
		return false
	}
	s.rest = s.rest[1:]
	return true
}

// text skips a quoted text and returns what is between the quotes.
func (s *scanner) text() ([]byte, bool) {
	if !s.next('"') {
		return nil, false
	}
	for i, c := range s.rest {
		switch {
		case c == '"':
			text := s.rest[:i]
			s.rest = s.rest[i+1:]
			return text, true
		case c < ' ' || c == '\\' || c > '~':
			return nil, false
		}
	}
	return nil, false
}

// value skips a text, a number, true or false, and returns it as it was sent.
func (s *scanner) value() ([]byte, bool) {
	s.blank()
	before := s.rest
	if len(before) > 0 && before[0] == '"' {
		_, ok := s.text()
		return before[:len(before)-len(s.rest)], ok
	}
	end := 0
	for end < len(before) && before[end] != ',' && before[end] != '}' && before[end] > ' ' {
		end++
	}
	s.rest = before[end:]
	raw := before[:end]
	if end == 0 || raw[0] == 'n' || raw[0] == '[' || raw[0] == '{' {
		return nil, false
	}
	return raw, json.Valid(raw)
}
