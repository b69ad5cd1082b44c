package sim

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"sync"
	"time"
)

// Lie is one answer that differed from the journal.
type Lie struct {
	Ref  string    `json:"ref"`
	Kind string    `json:"kind"` // LieAmount or LieStatus
	At   time.Time `json:"at"`   // UTC
}

// Kinds of a lie.
const (
	LieAmount = "amount" // the answer has another amount than the entry
	LieStatus = "status" // the answer says executed for a rejected payment, or rejected for an executed one
)

func (l lie) String() string {
	if l == oppositeStatus {
		return LieStatus
	}
	return LieAmount
}

// LiesPath returns the path of the file in which a bank with this journal stores its lies.
func LiesPath(journal string) string { return journal + ".lies" }

// lieLog is a file with one line for each lie, written before the lie is sent. It is never synced,
// because its readers run on the same machine.
type lieLog struct {
	path string
	mu   sync.Mutex
	file *os.File // nil until the first lie
	size int64    // length of the complete lines in the file, in bytes
}

func (b *lieLog) write(l Lie) error {
	line, err := json.Marshal(l)
	if err != nil {
		return err
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.file == nil {
		if err := b.open(); err != nil {
			return fmt.Errorf("mock bank: store a lie: %w", err)
		}
	}
	if _, err := b.file.Write(append(line, '\n')); err != nil {
		// A full disk may have stored a part of the line. The next line must not follow that part.
		return fmt.Errorf("mock bank: store a lie: %w", errors.Join(err, b.file.Truncate(b.size)))
	}
	b.size += int64(len(line)) + 1
	return nil
}

func (b *lieLog) open() error {
	file, err := os.OpenFile(b.path, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return err
	}
	info, err := file.Stat()
	if err != nil {
		return errors.Join(err, file.Close())
	}
	b.file, b.size = file, info.Size()
	return nil
}

func (b *lieLog) close() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.file == nil {
		return nil
	}
	file := b.file
	b.file = nil
	return file.Close()
}

// ReadLies returns the lies of a bank with this journal, in order.
func ReadLies(journal string) ([]Lie, error) {
	file, err := os.Open(LiesPath(journal))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("mock bank: open the file of lies: %w", err)
	}
	defer file.Close()
	var lies []Lie
	lines := bufio.NewScanner(file)
	for lines.Scan() {
		var l Lie
		if err := json.Unmarshal(lines.Bytes(), &l); err != nil {
			return nil, fmt.Errorf("mock bank: line %d of the file of lies: %w", len(lies)+1, err)
		}
		lies = append(lies, l)
	}
	return lies, lines.Err()
}
