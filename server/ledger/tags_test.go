package ledger_test

import (
	"errors"
	"fmt"
	"maps"
	"strings"
	"testing"

	"github.com/JDevAman/kizo/internal/testkit"
	"github.com/JDevAman/kizo/server/ledger"
)

func TestTags(t *testing.T) {
	t.Parallel()
	many := map[string]string{}
	for i := range ledger.MaxTags {
		many[fmt.Sprintf("k%d", i)] = strings.Repeat("v", 64)
	}
	for _, good := range []map[string]string{nil, {}, {"a": "b"}, {"project-x_1": "Apollo/11.2@home+x_-", strings.Repeat("k", 32): "1"}, many} {
		tags, err := ledger.NewTags(good)
		testkit.Must(t, err)
		if !maps.Equal(tags.Map(), good) {
			t.Errorf("%v became %v", good, tags.Map())
		}
	}
	one, _ := ledger.NewTags(map[string]string{"b": "2", "a": "1"})
	testkit.Equal(t, "in the order of the keys", string(one), "a=1\nb=2")
	tooMany := maps.Clone(many)
	tooMany["one-more"] = "1"
	bad := []map[string]string{tooMany, {"": "b"}, {"a": ""}, {"A": "b"}, {"1a": "b"}, {"a=b": "c"}, {"a": "b\n"}, {"a\n": "b"},
		{"a": "b=c"}, {"a": "b c"}, {"a": "é"}, {"a": "b;"}, {strings.Repeat("k", 33): "1"}, {"a": strings.Repeat("v", 65)}}
	for _, tags := range bad {
		if _, err := ledger.NewTags(tags); !errors.Is(err, ledger.TagsMalformed) {
			t.Errorf("%q: %v", tags, err)
		}
	}
	for filter, valid := range map[string]bool{"a": true, "a=b": true, "": false, "a=": false, "=b": false, "a b": false, "a=b=c": false, "%": false} {
		if _, err := ledger.TagFilter(filter); (err == nil) != valid {
			t.Errorf("filter %q: %v", filter, err)
		}
	}
}
