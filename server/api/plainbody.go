package api

import "encoding/json"

// plainMembers reads what nearly every body is: one object of plain ASCII text,
// numbers, true and false, without escapes, nesting, null, or a name twice. There
// is nothing in such a body that two readers could take for two different things,
// and reading it costs a fifth of what checkTokens does. Of anything else it says
// no more than that it is something else.
func plainMembers(body []byte) (members, bool) {
	s := scanner{rest: body}
	if !s.next('{') {
		return nil, false
	}
	all := make(members, 0, 8)
	for more := true; more; more = s.next(',') {
		name, ok := s.text()
		if _, twice := all.find(string(name)); !ok || twice || !s.next(':') {
			return nil, false
		}
		raw, ok := s.value()
		if !ok || len(all) == cap(all) {
			return nil, false
		}
		all = append(all, member{string(name), raw})
	}
	if !s.next('}') {
		return nil, false
	}
	s.blank()
	return all, len(s.rest) == 0
}

type scanner struct{ rest []byte }

func (s *scanner) blank() {
	for len(s.rest) > 0 && (s.rest[0] == ' ' || s.rest[0] == '\n' || s.rest[0] == '\t' || s.rest[0] == '\r') {
		s.rest = s.rest[1:]
	}
}

// next passes a byte, and the blanks before it, if it is there.
func (s *scanner) next(want byte) bool {
	s.blank()
	if len(s.rest) == 0 || s.rest[0] != want {
		return false
	}
	s.rest = s.rest[1:]
	return true
}

// text is what stands in quotes.
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

// value is a text with its quotes, or a number, true or false.
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
