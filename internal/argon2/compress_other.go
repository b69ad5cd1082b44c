//go:build !amd64

package argon2

const accelerated = false

func compress(out, a, b *block, add bool) { panic("argon2: not on this CPU") }
