package sim

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
)

var errClosed = errors.New("mock bank: closed")

// journal is the append-only file. Lines are added in order and become durable
// together:
//
//	add ─┐
//	add ─┼─► pending ──► one write, one fsync ──► synced = last seq
//	add ─┘     ▲
//	           └ those that come meanwhile wait here for the next one
//
// There is no timer and no goroutine: whoever waits first does it for all.
type journal struct {
	file  *os.File
	fsync func() error // file.Sync; tests watch it and make it fail

	mu      sync.Mutex // guards pending, last
	pending []byte
	last    int64

	commit sync.Mutex   // held by the one that writes
	synced atomic.Int64 // every line up to this seq is on disk
	broken error        // guarded by commit; the first failure is for ever
}

// openJournal opens or makes the file, takes it for this process alone, cuts
// off a torn last line and gives all entries.
func openJournal(path string) (*journal, []*Entry, error) {
	dir := filepath.Dir(path)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, nil, fmt.Errorf("mock bank: journal folder: %w", err)
	}
	file, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR|os.O_APPEND, 0o600)
	if err != nil {
		return nil, nil, fmt.Errorf("mock bank: open journal: %w", err)
	}
	entries, err := recoverJournal(file, dir)
	if err != nil {
		return nil, nil, errors.Join(fmt.Errorf("mock bank: journal %s: %w", path, err), file.Close())
	}
	j := &journal{file: file, fsync: file.Sync, last: int64(len(entries))}
	j.synced.Store(j.last)
	return j, entries, nil
}

func recoverJournal(file *os.File, dir string) ([]*Entry, error) {
	// Two servers on one journal would execute a ref twice.
	if err := lockFile(file); err != nil {
		return nil, fmt.Errorf("in use by another process? %w", err)
	}
	entries, intact, err := readEntries(file)
	if err != nil {
		return nil, err
	}
	// A torn line was never answered: it was not executed.
	if err := file.Truncate(intact); err != nil {
		return nil, err
	}
	// What a crashed run wrote without fsync is believed from here on, so it has
	// to be on disk first; so has the name of a new file.
	if err := file.Sync(); err != nil {
		return nil, err
	}
	return entries, syncDir(dir)
}

// add puts a line in the queue. Lines must come in the order of their seq.
func (j *journal) add(seq int64, line []byte) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if seq != j.last+1 {
		panic("mock bank: journal lines out of order")
	}
	j.last = seq
	j.pending = append(j.pending, line...)
}

// wait returns when the line of seq is on disk, or never will be known to be.
func (j *journal) wait(seq int64) error {
	if j.synced.Load() >= seq {
		return nil
	}
	j.commit.Lock()
	defer j.commit.Unlock()
	if j.synced.Load() >= seq {
		return nil
	}
	if j.broken == nil {
		j.broken = j.flush()
	}
	return j.broken
}

// flush writes all pending lines. After a failed write or fsync nobody knows
// what is on disk, so it is not tried again: a restart reads the file.
func (j *journal) flush() error {
	j.mu.Lock()
	lines, last := j.pending, j.last
	j.pending = nil
	j.mu.Unlock()
	if _, err := j.file.Write(lines); err != nil {
		return fmt.Errorf("mock bank: write journal: %w", err)
	}
	if err := j.fsync(); err != nil {
		return fmt.Errorf("mock bank: fsync journal: %w", err)
	}
	j.synced.Store(last)
	return nil
}

// health says why nothing can be written any more, or nil.
func (j *journal) health() error {
	j.commit.Lock()
	defer j.commit.Unlock()
	return j.broken
}

// close writes what is pending and gives the file back. Waiting later is errClosed.
func (j *journal) close() error {
	j.commit.Lock()
	defer j.commit.Unlock()
	var err error
	if j.broken == nil {
		err = j.flush()
	}
	j.broken = errClosed
	return errors.Join(err, j.file.Close())
}
