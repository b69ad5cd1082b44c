package hashworker

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"github.com/JDevAman/kizo/server/auth"
)

// What goes through the pipes are frames: two bytes of length, big endian, and the
// content. The child's first one is the greeting; after that
//
//	request   id 8 | memory 4 | time 4 | threads 1 | digest's length 1 | salt's length 1 | salt | input
//	answer    id 8 | digest
const (
	greeting = "kizo hash worker 1"
	maxFrame = 512
	fixed    = 8 + 4 + 4 + 1 + 1 + 1
)

func writeFrame(w io.Writer, content []byte) error {
	if len(content) > maxFrame {
		return fmt.Errorf("frame of %d bytes", len(content))
	}
	frame := binary.BigEndian.AppendUint16(make([]byte, 0, 2+len(content)), uint16(len(content)))
	_, err := w.Write(append(frame, content...)) // in one piece
	return err
}

func readFrame(r io.Reader) ([]byte, error) {
	var length [2]byte
	if _, err := io.ReadFull(r, length[:]); err != nil {
		return nil, err
	}
	n := binary.BigEndian.Uint16(length[:])
	if n > maxFrame {
		return nil, fmt.Errorf("frame of %d bytes", n)
	}
	content := make([]byte, n)
	if _, err := io.ReadFull(r, content); err != nil {
		return nil, fmt.Errorf("frame cut off: %w", err)
	}
	return content, nil
}

func encodeRequest(id uint64, j auth.HashJob) []byte {
	b := binary.BigEndian.AppendUint64(make([]byte, 0, fixed+len(j.Salt)+len(j.Input)), id)
	b = binary.BigEndian.AppendUint32(b, j.Params.MemoryKiB)
	b = binary.BigEndian.AppendUint32(b, j.Params.Time)
	b = append(b, j.Params.Threads, byte(j.Length), byte(len(j.Salt)))
	return append(append(b, j.Salt...), j.Input...)
}

func decodeRequest(b []byte) (id uint64, j auth.HashJob, err error) {
	if len(b) < fixed || len(b) < fixed+int(b[fixed-1]) {
		return 0, j, errors.New("request is too short")
	}
	id = binary.BigEndian.Uint64(b)
	j.Params = auth.Argon2Params{
		MemoryKiB: binary.BigEndian.Uint32(b[8:]), Time: binary.BigEndian.Uint32(b[12:]), Threads: b[16],
	}
	j.Length = int(b[17])
	j.Salt, j.Input = b[fixed:fixed+int(b[18])], b[fixed+int(b[18]):]
	return id, j, j.Check()
}

func encodeAnswer(id uint64, digest []byte) []byte {
	return append(binary.BigEndian.AppendUint64(make([]byte, 0, 8+len(digest)), id), digest...)
}

func decodeAnswer(b []byte) (id uint64, digest []byte, err error) {
	if len(b) < 8 {
		return 0, nil, errors.New("answer is too short")
	}
	return binary.BigEndian.Uint64(b), b[8:], nil
}
