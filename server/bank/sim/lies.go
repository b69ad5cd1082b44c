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

// Kinds of lie.
const (
	LieAmount = "amount" // another amount than was asked for
	LieStatus = "status" // executed although rejected, or the other way round
)

func (l lie) String() string {
	if l == oppositeStatus {
		return LieStatus
	}
	return LieAmount
}

// LiesPath is where a bank with this journal writes down its lies.
func LiesPath(journal string) string { return journal + ".lies" }

// lieBook is the bank's confession: a line for each lie, written before it is told.
// It is not synced; a judge reads it while the machine still runs.
type lieBook struct {
	path string
	mu   sync.Mutex
	file *os.File // nil until the first lie
	size int64    // of the file, in whole lines
}

func (b *lieBook) write(l Lie) error {
	line, err := json.Marshal(l)
	if err != nil {
		return err
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.file == nil {
		if err := b.open(); err != nil {
			return fmt.Errorf("mock bank: write down a lie: %w", err)
		}
	}
	if _, err := b.file.Write(append(line, '\n')); err != nil {
		// A full disk may have taken a part of the line. It must not begin the next one.
		return fmt.Errorf("mock bank: write down a lie: %w", errors.Join(err, b.file.Truncate(b.size)))
	}
	b.size += int64(len(line)) + 1
	return nil
}

func (b *lieBook) open() error {
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

func (b *lieBook) close() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.file == nil {
		return nil
	}
	file := b.file
	b.file = nil
	return file.Close()
}

// ReadLies gives what a bank with this journal told that was not so, in order.
func ReadLies(journal string) ([]Lie, error) {
	file, err := os.Open(LiesPath(journal))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("mock bank: open the lies: %w", err)
	}
	defer file.Close()
	var lies []Lie
	lines := bufio.NewScanner(file)
	for lines.Scan() {
		var l Lie
		if err := json.Unmarshal(lines.Bytes(), &l); err != nil {
			return nil, fmt.Errorf("mock bank: line %d of the lies: %w", len(lies)+1, err)
		}
		lies = append(lies, l)
	}
	return lies, lines.Err()
}
