package argon2

import "golang.org/x/sys/cpu"

var (
	// accelerated reports whether this CPU has the instructions of compress.
	accelerated = cpu.X86.HasAVX2

	useAVX512 = cpu.X86.HasAVX512F
)

// compress sets out to G(a, b), where G is the compression function of RFC 9106, or adds that to
// out (XOR). The blocks may be the same.
func compress(out, a, b *block, add bool) {
	if useAVX512 {
		compressAVX512(out, a, b, add)
	} else {
		compressAVX2(out, a, b, add)
	}
}

//go:noescape
func compressAVX512(out, a, b *block, add bool)

//go:noescape
func compressAVX2(out, a, b *block, add bool)
