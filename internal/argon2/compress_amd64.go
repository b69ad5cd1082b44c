package argon2

import "golang.org/x/sys/cpu"

// accelerated reports whether this CPU has the instructions of compress.
var accelerated = cpu.X86.HasAVX512F

// compress sets out to G(a, b), where G is the compression function of RFC 9106, or adds that to
// out (XOR). The blocks may be the same.
//
//go:noescape
func compress(out, a, b *block, add bool)
