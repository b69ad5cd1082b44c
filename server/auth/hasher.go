package auth

import (
	"crypto/sha256"
	"fmt"

	"github.com/JDevAman/kizo/internal/argon2"
)

// Hasher computes Argon2id hashes, in this process ([InProcess]) or in another one. It has
// at most as many concurrent callers as there are hash slots. An error means that there is
// no hash, never that a password is wrong.
type Hasher interface {
	Hash(HashJob) (digest []byte, err error)
}

// HashJob describes one hash. Input is the HMAC of a password under a pepper: a Hasher
// receives neither of the two.
type HashJob struct {
	Params Argon2Params
	Input  []byte // 32 bytes
	Salt   []byte // 8 to 64 bytes
	Length int    // length of the digest: 16 to 64 bytes
}

// Argon2id computes the hash in the calling goroutine and in the given memory.
func (j HashJob) Argon2id(memory *argon2.Memory) []byte {
	return memory.IDKey(j.Input, j.Salt, j.Params.Time, j.Params.MemoryKiB, j.Params.Threads, uint32(j.Length))
}

// InProcess is the Hasher that works in the calling goroutine, in new memory for each hash.
type InProcess struct{}

// Hash computes the hash. Its error is always nil.
func (InProcess) Hash(j HashJob) ([]byte, error) { return j.Argon2id(new(argon2.Memory)), nil }

// Check returns an error if the job is invalid. A job that was damaged in transit could
// otherwise require all of the memory.
func (j HashJob) Check() error {
	switch {
	case len(j.Input) != sha256.Size:
		return fmt.Errorf("argon2: input of %d bytes", len(j.Input))
	case len(j.Salt) < 8 || len(j.Salt) > 64 || j.Length < 16 || j.Length > 64:
		return fmt.Errorf("argon2: salt of %d and digest of %d bytes", len(j.Salt), j.Length)
	}
	return j.Params.check()
}
