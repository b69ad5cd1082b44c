package hashworker

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"github.com/JDevAman/kizo/server/auth"
)

// Parent and child exchange frames over the pipes: a length of two bytes, big endian, and
// the content. The child sends the greeting first. The parent then sends one byte, the
// priority of the child, and after that one request at a time:
//
//	request    memory 4 | time 4 | threads 1 | digest length 1 | salt length 1 | salt | input
//	response   digest
const (
	greeting   = "kizo hash worker 2"
	maxFrame   = 512
	headerSize = 4 + 4 + 1 + 1 + 1
)

func writeFrame(w io.Writer, content []byte) error {
	if len(content) > maxFrame {
		return fmt.Errorf("frame of %d bytes", len(content))
	}
	frame := binary.BigEndian.AppendUint16(make([]byte, 0, 2+len(content)), uint16(len(content)))
	_, err := w.Write(append(frame, content...)) // in one call, so that frames do not mix
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

func encodeRequest(j auth.HashJob) []byte {
	b := binary.BigEndian.AppendUint32(make([]byte, 0, headerSize+len(j.Salt)+len(j.Input)), j.Params.MemoryKiB)
	b = binary.BigEndian.AppendUint32(b, j.Params.Time)
	b = append(b, j.Params.Threads, byte(j.Length), byte(len(j.Salt)))
	return append(append(b, j.Salt...), j.Input...)
}

func decodeRequest(b []byte) (j auth.HashJob, err error) {
	if len(b) < headerSize || len(b) < headerSize+int(b[headerSize-1]) {
		return j, errors.New("request is too short")
	}
	j.Params = auth.Argon2Params{
		MemoryKiB: binary.BigEndian.Uint32(b), Time: binary.BigEndian.Uint32(b[4:]), Threads: b[8],
	}
	j.Length = int(b[9])
	salt := headerSize + int(b[headerSize-1])
	j.Salt, j.Input = b[headerSize:salt], b[salt:]
	return j, j.Check()
}

func encodePriority(p priority) []byte { return []byte{byte(p)} }

func decodePriority(b []byte) (priority, error) {
	if len(b) != 1 || priority(b[0]) > priorityNormal {
		return 0, fmt.Errorf("priority %x", b)
	}
	return priority(b[0]), nil
}
