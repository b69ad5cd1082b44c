package cache

import "testing"

func TestMapNeverExceedsItsMaximum(t *testing.T) {
	m := New[int, int](3)
	for i := range 10 {
		m.Put(i, i)
		if n := len(m.entries); n > 3 {
			t.Fatalf("%d entries after %d calls of Put, the maximum is 3", n, i+1)
		}
		if v, ok := m.Get(i); !ok || v != i {
			t.Fatalf("the newest entry %d is missing", i)
		}
	}
}

func TestReplacingAnEntryEvictsNone(t *testing.T) {
	m := New[string, int](2)
	m.Put("a", 1)
	m.Put("b", 2)
	m.Put("a", 3)
	a, _ := m.Get("a")
	b, ok := m.Get("b")
	if a != 3 || b != 2 || !ok {
		t.Fatalf("a = %d, b = %d (found: %t); want 3 and 2", a, b, ok)
	}
	m.Forget("a")
	if _, ok := m.Get("a"); ok {
		t.Fatal("a was forgotten and is still found")
	}
	m.Clear()
	if _, ok := m.Get("b"); ok {
		t.Fatal("the map was cleared and b is still found")
	}
}
