// Package argon2 computes Argon2id hashes (RFC 9106), in memory that is kept for the next hash.
//
//	IDKey ─┬─ one lane, AVX2 ─► first hash ─► blocks, by compress ─► last block ─► key
//	       └─ otherwise ──────► golang.org/x/crypto/argon2
//
// It computes the same keys as golang.org/x/crypto/argon2, and exists because it needs a third of
// the CPU time: compress is written for AVX-512 and for AVX2, the memory consists of huge pages
// where Linux has them, and it is neither allocated nor cleared for each hash. On other CPUs, and
// for more than one lane, it calls that package.
//
// It imports nothing of Kizo.
package argon2

import (
	"encoding/binary"

	"golang.org/x/crypto/argon2"
	"golang.org/x/crypto/blake2b"
)

// Terms of RFC 9106.
const (
	wordsOfBlock = 128 // 1 KiB
	slicesOfPass = 4
	typeID       = 2 // Argon2id
)

type block [wordsOfBlock]uint64

// Memory is the memory of one hash at a time. It has the size of the most expensive hash so far.
// The zero value is ready to use.
type Memory struct {
	blocks []block
}

// IDKey returns the same as IDKey of golang.org/x/crypto/argon2. The time is the number of passes,
// and the memory is in KiB. It panics if time or threads is 0.
func (m *Memory) IDKey(password, salt []byte, time, memory uint32, threads uint8, length uint32) []byte {
	if !accelerated || threads != 1 || time < 1 {
		return argon2.IDKey(password, salt, time, memory, threads, length)
	}
	l := lane{blocks: m.take(max(memory/slicesOfPass*slicesOfPass, 2*slicesOfPass)), passes: time}
	seed := firstHash(password, salt, time, memory, length)
	for i := range uint64(2) { // the number of the block in 4 bytes, and that of the lane, 0, in 4
		l.blocks[i].set(longHash(binary.LittleEndian.AppendUint64(seed, i), 8*wordsOfBlock))
	}
	for pass := range time {
		for slice := range uint32(slicesOfPass) {
			l.fill(pass, slice)
		}
	}
	return longHash(l.blocks[len(l.blocks)-1].bytes(), length)
}

func (m *Memory) take(blocks uint32) []block {
	if uint32(cap(m.blocks)) < blocks {
		m.blocks = make([]block, blocks)
		useHugePages(m.blocks)
	}
	return m.blocks[:blocks]
}

// lane is the memory of a hash while it is filled, in a number of passes.
type lane struct {
	blocks []block
	passes uint32
}

// fill computes the blocks of one slice of a pass, each from the previous one and an older one. In
// the first half of the first pass, which one that is does not depend on the password.
func (l lane) fill(pass, slice uint32) {
	independent := pass == 0 && slice < slicesOfPass/2
	var zero, addresses block
	input := block{uint64(pass), 0, uint64(slice), uint64(len(l.blocks)), uint64(l.passes), typeID}
	total, length := uint32(len(l.blocks)), uint32(len(l.blocks)/slicesOfPass)
	first := uint32(0)
	if pass == 0 && slice == 0 {
		first = 2 // the others come from the first hash
	}
	for i := first; i < length; i++ {
		current := slice*length + i
		previous := &l.blocks[(current+total-1)%total]
		random := previous[0]
		if independent {
			if i == first || i%wordsOfBlock == 0 {
				input[6]++
				compress(&addresses, &zero, &input, false)
				compress(&addresses, &zero, &addresses, false)
			}
			random = addresses[i%wordsOfBlock]
		}
		compress(&l.blocks[current], previous, &l.blocks[l.reference(random, pass, slice, i)], pass > 0)
	}
}

// reference returns the number of the older block for block i of a slice (RFC 9106, section
// 3.4.2). All complete blocks but the previous one are possible; recent ones are more likely.
func (l lane) reference(random uint64, pass, slice, i uint32) uint32 {
	total := uint64(len(l.blocks))
	length := total / slicesOfPass
	complete, oldest := uint64(slice)*length, uint64(0)
	if pass > 0 {
		complete, oldest = total-length, uint64(slice+1)*length
	}
	area := complete + uint64(i) - 1
	x := random & 0xffffffff
	age := area * (x * x >> 32) >> 32
	return uint32((oldest + area - 1 - age) % total)
}

// firstHash is the hash H0 of the RFC, for one lane, without a secret and without other data.
func firstHash(password, salt []byte, time, memory, length uint32) []byte {
	var in []byte
	for _, n := range []uint32{1, length, memory, time, argon2.Version, typeID} {
		in = binary.LittleEndian.AppendUint32(in, n)
	}
	for _, field := range [][]byte{password, salt, nil, nil} {
		in = append(binary.LittleEndian.AppendUint32(in, uint32(len(field))), field...)
	}
	return shortHash(in, blake2b.Size)
}

// longHash is the hash H' of the RFC: BLAKE2b with a result of any length.
func longHash(in []byte, length uint32) []byte {
	var out []byte
	part := shortHash(append(binary.LittleEndian.AppendUint32(nil, length), in...), min(length, blake2b.Size))
	for uint32(len(out)+len(part)) < length {
		out = append(out, part[:blake2b.Size/2]...)
		part = shortHash(part, min(length-uint32(len(out)), blake2b.Size))
	}
	return append(out, part...)
}

// shortHash is BLAKE2b with a result of 1 to 64 bytes.
func shortHash(in []byte, length uint32) []byte {
	hash, err := blake2b.New(int(length), nil)
	if err != nil {
		panic(err)
	}
	_, _ = hash.Write(in)
	return hash.Sum(nil)
}

func (b *block) set(bytes []byte) {
	for i := range b {
		b[i] = binary.LittleEndian.Uint64(bytes[8*i:])
	}
}

func (b *block) bytes() []byte {
	bytes := make([]byte, 0, 8*len(b))
	for _, word := range b {
		bytes = binary.LittleEndian.AppendUint64(bytes, word)
	}
	return bytes
}
