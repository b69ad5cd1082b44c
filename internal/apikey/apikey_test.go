package apikey

import (
	"slices"
	"strings"
	"testing"
)

func TestNewKeys(t *testing.T) {
	t.Parallel()
	seen := map[string]bool{}
	used := map[rune]bool{}
	for range 1000 {
		key := New()
		if err := Check(key); err != nil || len(key) != Length || seen[key] {
			t.Fatalf("%d characters, seen before: %v, %v", len(key), seen[key], err)
		}
		seen[key] = true
		for _, r := range key[len(Prefix) : Length-sumChars] {
			used[r] = true
		}
	}
	if len(used) != 62 {
		t.Errorf("43,000 random characters are %d different ones, want 62", len(used))
	}
}

// TestOneWrongCharacterIsNoticed: a CRC-32 notices every change of a single character.
func TestOneWrongCharacterIsNoticed(t *testing.T) {
	t.Parallel()
	key := New()
	for i := range key {
		for _, r := range digits {
			if changed := key[:i] + string(r) + key[i+1:]; changed != key && Check(changed) == nil {
				t.Errorf("%q in place of %q at %d passes", r, key[i], i)
			}
		}
	}
	for _, wrong := range []string{
		"", Prefix, key[1:], key[:len(key)-1], key + "0", " " + key, key + "\n", strings.ToUpper(key), strings.Replace(key, "live", "test", 1),
		Prefix + strings.Repeat("é", 24) + "0", Prefix + strings.Repeat("0", 49),
	} {
		if Check(wrong) == nil {
			t.Errorf("%q passes", wrong)
		}
	}
}

// TestFindLeakedKeys: in a log or a repository, real keys are found and look-alikes are not.
func TestFindLeakedKeys(t *testing.T) {
	t.Parallel()
	first, second := New(), New()
	lookAlike := Prefix + strings.Repeat("x", 49)
	text := "KIZO_API_KEY=" + first + "\n# example: " + lookAlike + "\ncurl -H 'Authorization: Bearer " + second + "' " + first[:40] + "…"
	if found := Find(text); !slices.Equal(found, []string{first, second}) {
		t.Errorf("%d keys found, want 2", len(found))
	}
	if found := Find("no key"); len(found) != 0 {
		t.Errorf("found %d keys", len(found))
	}
}

// TestPublishedExample: the format is public, and scanners depend on it. It must never change.
func TestPublishedExample(t *testing.T) {
	t.Parallel()
	const example = "kizo_live_0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefg"
	if got := checksum(example); got != "4ZZfzd" {
		t.Errorf("the checksum of the published example is %s", got)
	}
}
