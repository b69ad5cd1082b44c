package text

import "testing"

func TestDistance(t *testing.T) {
	for _, test := range []struct {
		a, b string
		want int
	}{{"bob", "bob", 0}, {"boby", "bobby", 1}, {"ada", "bob", 3}, {"", "ab", 2}, {"abc", "", 3}} {
		if got := Distance(test.a, test.b); got != test.want {
			t.Errorf("%s, %s: %d, want %d", test.a, test.b, got, test.want)
		}
	}
}
