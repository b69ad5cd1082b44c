package emulator

import (
	"encoding/xml"
	"errors"
	"io"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"
)

func shown(width, height int, text string) *Screen {
	s := New(width, height)
	_, _ = s.Write([]byte(text))
	return s
}

func TestText(t *testing.T) {
	for _, test := range []struct{ name, in, want string }{
		{"lines", "ab\r\ncd", "ab\ncd\n"},
		{"up and over", "ab\r\ncd\x1b[1A\rX", "Xb\ncd\n"},
		{"erase the rest of the line", "abcd\x1b[2D\x1b[K", "ab\n\n"},
		{"erase all", "ab\r\ncd\x1b[2J\x1b[Hx", "x\n\n"},
		{"erase below", "ab\r\ncd\r\nef\x1b[2;1H\x1b[J", "ab\n\n"},
		{"to a place", "\x1b[2;3Hx", "\n  x\n"},
		{"wraps and scrolls", "abcdefghijklmn", "efgh\nijkl\nmn"},
		{"wide characters", "山x", "山x\n\n"},
		{"the second screen", "ab\x1b[?1049hx", "x\n\n"},
		{"a title is not text", "\x1b]0;title\x07x", "x\n\n"},
	} {
		if got := shown(4, 3, test.in).Text(); got != test.want {
			t.Errorf("%s: %q, want %q", test.name, got, test.want)
		}
	}
	if unknown := shown(4, 3, "\x1b[5X").Unknown(); len(unknown) != 1 {
		t.Errorf("unknown %q", unknown)
	}
}

// TestAnyPieces: the screen does not depend on how the output is split into writes.
func TestAnyPieces(t *testing.T) {
	const text = "\x1b[?25l\x1b[31;1mbé山🍕\x1b[0m\x1b]0;t\x07\x1b[48;2;1;2;3mx\x1b[K\r\ny\x1b[1A\x1b[3Cz"
	want := shown(12, 3, text).SVG(Dark)
	rapid.Check(t, func(t *rapid.T) {
		s := New(12, 3)
		for rest := []byte(text); len(rest) > 0; {
			n := rapid.IntRange(1, len(rest)).Draw(t, "n")
			_, _ = s.Write(rest[:n])
			rest = rest[n:]
		}
		if got := s.SVG(Dark); got != want {
			t.Fatalf("%s\nwant\n%s", got, want)
		}
	})
}

func TestSVG(t *testing.T) {
	picture := shown(20, 2, "\x1b[38;5;114m✓ posted\x1b[0m \x1b[7m<b>&\x1b[0m").SVG(Dark)
	for _, want := range []string{`fill="#87d787">✓ posted</text>`, `fill="#101418">&lt;b&gt;&amp;</text>`} {
		if !strings.Contains(picture, want) {
			t.Errorf("%s is missing in\n%s", want, picture)
		}
	}
	decoder := xml.NewDecoder(strings.NewReader(picture))
	for {
		if _, err := decoder.Token(); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatal(err)
		}
	}
}

// TestMovie has a row once for as long as it stays the same.
func TestMovie(t *testing.T) {
	var m Movie
	m.Add(shown(12, 2, "head\r\none"), Dark, time.Second)
	m.Add(shown(12, 2, "head\r\ntwo"), Dark, time.Second)
	m.Add(shown(12, 2, "head\r\none"), Dark, 2*time.Second)
	picture := m.SVG()
	for text, n := range map[string]int{">head<": 1, ">two<": 1, ">one<": 2, "@keyframes f0-3 { 0.000% { visibility: visible } }": 1,
		"@keyframes f1-2 { 0% { visibility: hidden } 25.000% { visibility: visible } 50.000% { visibility: hidden } }": 1, `class="f0-1 first"`: 1} {
		if got := strings.Count(picture, text); got != n {
			t.Errorf("%d times %s in\n%s", got, text, picture)
		}
	}
	if err := xml.Unmarshal([]byte(picture), new(struct{})); err != nil {
		t.Error(err)
	}
}
