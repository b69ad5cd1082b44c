package argon2

import "testing"

// TestAVX2 repeats the tests of keys as on a CPU without AVX-512.
func TestAVX2(t *testing.T) {
	withoutAVX512(t)
	t.Run("reference keys", TestReferenceKeys)
	t.Run("same keys as x/crypto", TestSameKeysAsXCrypto)
}

// BenchmarkAVX2 measures a hash with the costs that OWASP recommends, as on a CPU without AVX-512.
func BenchmarkAVX2(b *testing.B) {
	withoutAVX512(b)
	var memory Memory
	for b.Loop() {
		memory.IDKey([]byte("password"), []byte("somesalt"), 2, 19<<10, 1, 32)
	}
}

func withoutAVX512(t testing.TB) {
	if !accelerated || !useAVX512 {
		t.Skip("the other tests use what this CPU has")
	}
	useAVX512 = false
	t.Cleanup(func() { useAVX512 = true })
}
