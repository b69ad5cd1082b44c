package sim

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"
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
	write func([]byte) (int, error) // file.Write, and
	fsync func() error              // file.Sync; tests watch them and make them fail

	mu      sync.Mutex // guards pending, last
	pending []byte
	last    int64

	commit   sync.Mutex   // held by the one that writes; guards what follows
	synced   atomic.Int64 // every line up to this seq is on disk
	size     int64        // bytes of the file up to there
	unsynced []byte       // lines that a full disk has kept off it
	full     error        // why; nil while there is space
	broken   error        // the first failure that is for ever
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
	entries, size, err := recoverJournal(file, dir)
	if err != nil {
		return nil, nil, errors.Join(fmt.Errorf("mock bank: journal %s: %w", path, err), file.Close())
	}
	j := &journal{file: file, write: file.Write, fsync: file.Sync, last: int64(len(entries)), size: size}
	j.synced.Store(j.last)
	return j, entries, nil
}

func recoverJournal(file *os.File, dir string) (entries []*Entry, intact int64, err error) {
	// Two servers on one journal would execute a ref twice.
	if err := lockFile(file); err != nil {
		return nil, 0, fmt.Errorf("in use by another process? %w", err)
	}
	if entries, intact, err = readEntries(file); err != nil {
		return nil, 0, err
	}
	// A torn line was never answered: it was not executed.
	if err := file.Truncate(intact); err != nil {
		return nil, 0, err
	}
	// What a crashed run wrote without fsync is believed from here on, so it has
	// to be on disk first; so has the name of a new file.
	if err := file.Sync(); err != nil {
		return nil, 0, err
	}
	return entries, intact, syncDir(dir)
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
	return j.flush()
}

// flush writes all lines that are not on disk. After most failures of a write or fsync
// it is not known what is on disk, so the journal is broken: a restart reads the file. A full
// disk is no such failure: the next call cuts off what was written in part, and tries again.
func (j *journal) flush() error {
	if j.broken != nil {
		return j.broken
	}
	j.mu.Lock()
	lines, last := slices.Concat(j.unsynced, j.pending), j.last
	j.pending = nil
	j.mu.Unlock()
	err := j.put(lines)
	switch {
	case err == nil:
		j.size, j.unsynced, j.full = j.size+int64(len(lines)), nil, nil
		j.synced.Store(last)
	case errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT):
		j.unsynced, j.full = lines, err
	default:
		j.broken = err
	}
	return err
}

func (j *journal) put(lines []byte) error {
	if j.full != nil {
		if err := j.file.Truncate(j.size); err != nil {
			return fmt.Errorf("mock bank: truncate journal: %w", err)
		}
	}
	if _, err := j.write(lines); err != nil {
		return fmt.Errorf("mock bank: write journal: %w", err)
	}
	if err := j.fsync(); err != nil {
		return fmt.Errorf("mock bank: fsync journal: %w", err)
	}
	return nil
}

// health says why nothing can be written now, or nil. Where the disk was full, it tries again.
func (j *journal) health() error {
	j.commit.Lock()
	defer j.commit.Unlock()
	if j.full != nil {
		return j.flush()
	}
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
	if j.full != nil {
		err = errors.Join(err, j.file.Truncate(j.size)) // of lines that were never answered
	}
	j.broken = errClosed
	return errors.Join(err, j.file.Close())
}
