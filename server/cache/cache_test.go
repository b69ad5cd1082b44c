package cache

import "testing"

func TestAMapNeverHoldsMoreThanItsBound(t *testing.T) {
	m := New[int, int](3)
	for i := range 10 {
		m.Put(i, i)
		if n := len(m.kept); n > 3 {
			t.Fatalf("%d entries after %d were put, the bound is 3", n, i+1)
		}
		if v, ok := m.Get(i); !ok || v != i {
			t.Fatalf("the newest entry %d is not there", i)
		}
	}
}

func TestAnEntryThatIsPutAgainPushesNobodyOut(t *testing.T) {
	m := New[string, int](2)
	m.Put("a", 1)
	m.Put("b", 2)
	m.Put("a", 3)
	a, _ := m.Get("a")
	b, ok := m.Get("b")
	if a != 3 || b != 2 || !ok {
		t.Fatalf("a = %d, b = %d (there: %t); want 3 and 2", a, b, ok)
	}
	m.Forget("a")
	if _, ok := m.Get("a"); ok {
		t.Fatal("a was forgotten and is there")
	}
	m.Clear()
	if _, ok := m.Get("b"); ok {
		t.Fatal("everything was cleared and b is there")
	}
}
