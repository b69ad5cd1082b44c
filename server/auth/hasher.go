package auth

import "golang.org/x/crypto/argon2"

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
