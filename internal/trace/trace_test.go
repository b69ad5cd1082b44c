package trace_test

import (
	"context"
	"strings"
	"testing"

	"github.com/JDevAman/kizo/internal/trace"
)

const (
	traceID = "0af7651916cd43dd8448eb211c80319c"
	example = "00-" + traceID + "-b7ad6b7169203331-01"
)

func TestParse(t *testing.T) {
	for text, want := range map[string]string{
		example:                       example,
		example[:53] + "00":           example[:53] + "00",
		example[:53] + "ff":           example[:53] + "03", // unknown flags are not passed on
		"cc" + example[2:]:            example,             // a later version
		"cc" + example[2:] + "-later": example,
	} {
		c, ok := trace.Parse(text)
		if !ok || c.String() != want || c.TraceID() != traceID {
			t.Errorf("%q: %v, %q; want %q", text, ok, c, want)
		}
	}
	for name, text := range map[string]string{
		"empty":             "",
		"too short":         example[:54],
		"too long":          example + "0",
		"more in version 0": example + "-more",
		"version ff":        "ff" + example[2:],
		"later, no dash":    "cc" + example[2:] + "x",
		"upper case":        strings.ToUpper(example),
		"no trace id":       "00-" + strings.Repeat("0", 32) + "-b7ad6b7169203331-01",
		"no span id":        "00-" + traceID + "-0000000000000000-01",
		"not hexadecimal":   "00-" + strings.Repeat("g", 32) + "-b7ad6b7169203331-01",
		"no dashes":         strings.ReplaceAll(example, "-", "_"),
		"a space":           " " + example[:54],
		"another alphabet":  strings.Repeat("ä", 30),
	} {
		if c, ok := trace.Parse(text); ok || c.Valid() || c.String() != "" || c.TraceID() != "" {
			t.Errorf("%s: %q is parsed as %q", name, text, c)
		}
	}
}

func TestNewAndChild(t *testing.T) {
	first, second := trace.New(), trace.New()
	if first.TraceID() == second.TraceID() {
		t.Error("two traces have the same id")
	}
	step := first.Child()
	if step.TraceID() != first.TraceID() || step == first {
		t.Errorf("%q is not a child of %q", step, first)
	}
	_, firstSpan, _ := first.IDs()
	if _, _, parent := step.IDs(); parent != firstSpan || parent == [8]byte{} {
		t.Errorf("%q has the parent %x, not %x", step, parent, firstSpan)
	}
	if _, _, parent := first.IDs(); parent != [8]byte{} {
		t.Errorf("a new trace has the parent %x", parent)
	}
	if back, ok := trace.Parse(step.String()); !ok || back.String() != step.String() {
		t.Errorf("%q is parsed as %q", step, back)
	}
	if none := (trace.Context{}).Child(); none.Valid() {
		t.Errorf("the child of the zero value is %q", none)
	}
}

func TestContext(t *testing.T) {
	if c := trace.From(context.Background()); c.Valid() {
		t.Errorf("an empty context has the trace %q", c)
	}
	c := trace.New()
	if got := trace.From(trace.Into(context.Background(), c)); got != c {
		t.Errorf("%q, want %q", got, c)
	}
}

func FuzzParse(f *testing.F) {
	f.Add(example)
	f.Add("cc" + example[2:] + "-later")
	f.Fuzz(func(t *testing.T, text string) {
		c, ok := trace.Parse(text)
		if !ok {
			return
		}
		if again, ok := trace.Parse(c.String()); !ok || again != c {
			t.Errorf("%q is passed on as %q", text, c)
		}
	})
}
