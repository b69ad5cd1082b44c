package wire

import (
	"encoding/json"
	"testing"
)

func TestParseTakesOneObjectOnly(t *testing.T) {
	for _, bad := range []string{
		"", " ", "null", "1", `"x"`, "[]", "{", "{}{}", "{} x", "{}]", `{"a":1,"a":1}`, `{"a":1,"\u0061":2}`, `{"a" 1}`,
		`{"a":1,}`, `{a:1}`, `{"a":}`, `{"a":01}`,
	} {
		if _, err := Parse([]byte(bad)); err == nil {
			t.Errorf("%s is accepted", bad)
		}
	}
	f, err := Parse([]byte(` {"s":"x","n":-7,"t":"2026-01-02T03:04:05+01:00","l":[1,{}],"z":null} `))
	if err != nil {
		t.Fatal(err)
	}
	f.Only("s", "n", "t", "l", "z")
	if f.Text("s") != "x" || f.Int("n") != -7 || f.Time("t").Hour() != 2 || len(f.List("l")) != 2 ||
		f.OptionalText("z") != "" || f.OptionalText("missing") != "" || f.Err() != nil {
		t.Errorf("fields are misread: %v", f.Err())
	}
}

func TestFieldsAreTakenLiterally(t *testing.T) {
	for name, read := range map[string]func(*Fields){
		"text from a number":  func(f *Fields) { f.Text("n") },
		"text from null":      func(f *Fields) { f.Text("z") },
		"optional, a number":  func(f *Fields) { f.OptionalText("n") },
		"missing text":        func(f *Fields) { f.Text("S") },
		"integer from text":   func(f *Fields) { f.Int("s") },
		"integer, a fraction": func(f *Fields) { f.Int("fraction") },
		"integer, exponent":   func(f *Fields) { f.Int("exponent") },
		"integer too large":   func(f *Fields) { f.Int("large") },
		"time from a word":    func(f *Fields) { f.Time("s") },
		"list from null":      func(f *Fields) { f.List("z") },
		"unknown field":       func(f *Fields) { f.Only("s", "n") },
	} {
		f, err := Parse([]byte(`{"s":"1","n":7,"z":null,"fraction":1.0,"exponent":1e3,"large":9223372036854775808}`))
		if err != nil {
			t.Fatal(err)
		}
		if read(f); f.Err() == nil {
			t.Errorf("%s is accepted", name)
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte(`{"a":1,"b":{"c":[]}}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		if _, err := Parse(data); err == nil && !json.Valid(data) {
			t.Fatalf("%q is no JSON", data)
		}
	})
}
