package auth

import (
	"crypto/sha256"
	"fmt"

	"golang.org/x/crypto/argon2"
)

// Hasher does the work of Argon2id, wherever that is: in this process ([InProcess])
// or in another one. It is asked by no more callers at a time than there are hash
// slots. An error means that the work was not done, never that a password is wrong.
type Hasher interface {
	Hash(HashJob) (digest []byte, err error)
}

// HashJob is one piece of work. Input is the HMAC of a password under a pepper: a
// Hasher sees neither of the two.
type HashJob struct {
	Params Argon2Params
	Input  []byte // 32 bytes
	Salt   []byte // 8 to 64 bytes
	Length int    // of the digest: 16 to 64 bytes
}

// Argon2id does the job here and now.
func (j HashJob) Argon2id() []byte {
	return argon2.IDKey(j.Input, j.Salt, j.Params.Time, j.Params.MemoryKiB, j.Params.Threads, uint32(j.Length))
}

// InProcess is the Hasher that works where it is called.
type InProcess struct{}

// Hash never fails.
func (InProcess) Hash(j HashJob) ([]byte, error) { return j.Argon2id(), nil }

// Check keeps a job that was damaged on its way from asking for all the memory there is.
func (j HashJob) Check() error {
	switch {
	case len(j.Input) != sha256.Size:
		return fmt.Errorf("argon2: input of %d bytes", len(j.Input))
	case len(j.Salt) < 8 || len(j.Salt) > 64 || j.Length < 16 || j.Length > 64:
		return fmt.Errorf("argon2: salt of %d and digest of %d bytes", len(j.Salt), j.Length)
	}
	return j.Params.check()
}
