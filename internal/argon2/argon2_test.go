package argon2

import (
	"bytes"
	"encoding/hex"
	"math/rand/v2"
	"testing"

	"golang.org/x/crypto/argon2"
	"pgregory.net/rapid"
)

// Keys from the tests of the reference implementation (phc-winner-argon2, src/test.c).
func TestReferenceKeys(t *testing.T) {
	for _, test := range []struct {
		passes, memory uint32
		threads        uint8
		password, salt string
		key            string
	}{
		{2, 1 << 16, 1, "password", "somesalt", "09316115d5cf24ed5a15a31a3ba326e5cf32edc24702987c02b6566f61913cf7"},
		{2, 1 << 8, 1, "password", "somesalt", "9dfeb910e80bad0311fee20f9c0e2b12c17987b4cac90c2ef54d5b3021c68bfe"},
		{2, 1 << 8, 2, "password", "somesalt", "6d093c501fd5999645e0ea3bf620d7b8be7fd2db59c20d9fff9539da2bf57037"},
		{4, 1 << 16, 1, "password", "somesalt", "9025d48e68ef7395cca9079da4c4ec3affb3c8911fe4f86d1a2520856f63172c"},
		{2, 1 << 16, 1, "differentpassword", "somesalt", "0b84d652cf6b0c4beaef0dfe278ba6a80df6696281d7e0d2891b817d8c458fde"},
		{2, 1 << 16, 1, "password", "diffsalt", "bdf32b05ccc42eb15d58fd19b1f856b113da1e9a5874fdcc544308565aa8141c"},
	} {
		key := new(Memory).IDKey([]byte(test.password), []byte(test.salt), test.passes, test.memory, test.threads, 32)
		if got := hex.EncodeToString(key); got != test.key {
			t.Errorf("m=%d t=%d p=%d %s %s: %s, want %s", test.memory, test.passes, test.threads, test.password, test.salt, got, test.key)
		}
	}
}

// One Memory computes hash after hash, each of other costs, so each finds what the previous ones
// have left there.
func TestSameKeysAsXCrypto(t *testing.T) {
	if !accelerated {
		t.Skip("on this CPU, IDKey is that of x/crypto")
	}
	var memory Memory
	rapid.Check(t, func(t *rapid.T) {
		password := rapid.SliceOfN(rapid.Byte(), 0, 200).Draw(t, "password")
		salt := rapid.SliceOfN(rapid.Byte(), 8, 64).Draw(t, "salt")
		passes := rapid.Uint32Range(1, 4).Draw(t, "passes")
		kib := rapid.Uint32Range(1, 3000).Draw(t, "memory")
		length := rapid.Uint32Range(1, 200).Draw(t, "length")
		got := memory.IDKey(password, salt, passes, kib, 1, length)
		if want := argon2.IDKey(password, salt, passes, kib, 1, length); !bytes.Equal(got, want) {
			t.Fatalf("%x, want %x", got, want)
		}
	})
}

func TestMemoryIsReused(t *testing.T) {
	if !accelerated {
		t.Skip("on this CPU, x/crypto allocates the memory")
	}
	var memory Memory
	hash := func(kib uint32) *block {
		memory.IDKey([]byte("password"), []byte("somesalt"), 1, kib, 1, 32)
		return &memory.blocks[0]
	}
	first := hash(2000)
	if hash(1000) != first || hash(2000) != first {
		t.Error("a hash that needs no more memory than the previous ones has allocated memory")
	}
	if hash(3000); len(memory.blocks) != 3000 {
		t.Errorf("after a hash with 3000 KiB there are %d blocks", len(memory.blocks))
	}
}

// BenchmarkIDKey measures a hash with the costs that OWASP recommends, here and in x/crypto, and
// then the memory traffic of such a hash without its arithmetic: the time that no implementation
// can be below. Run it with -cpu 1.
func BenchmarkIDKey(b *testing.B) {
	const passes, kib = 2, 19 << 10
	var memory Memory
	b.Run("kizo", func(b *testing.B) {
		for b.Loop() {
			memory.IDKey([]byte("password"), []byte("somesalt"), passes, kib, 1, 32)
		}
	})
	b.Run("x-crypto", func(b *testing.B) {
		for b.Loop() {
			argon2.IDKey([]byte("password"), []byte("somesalt"), passes, kib, 1, 32)
		}
	})
	b.Run("memory", func(b *testing.B) {
		blocks, order := memory.take(kib), rand.Perm(kib)
		var old block
		b.SetBytes(5 * kib << 10) // a pass reads a block and writes one; the second reads the old one too
		for b.Loop() {
			for pass := range passes {
				for i, reference := range order {
					if pass > 0 {
						old = blocks[i]
					}
					blocks[i] = blocks[reference]
				}
			}
		}
		_ = old
	})
}
