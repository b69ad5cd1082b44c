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

// journal is the append-only file of entries. Lines are added in order, and written and synced in
// batches:
//
//	add --+
//	add --+--> pending --> one write, one fsync --> synced = last seq
//	add --+       ^
//	              +-- lines that are added meanwhile wait for the next batch
//
// There is no timer and no goroutine: the first goroutine that waits writes the batch for all.
type journal struct {
	file  *os.File
	write func([]byte) (int, error) // file.Write; tests replace both functions
	fsync func() error              // file.Sync

	mu      sync.Mutex // guards pending, last
	pending []byte
	last    int64

	commit   sync.Mutex   // held while a batch is written; guards the fields below
	synced   atomic.Int64 // every line up to this seq is on disk
	size     int64        // length of the file up to that line, in bytes
	unsynced []byte       // lines that could not be written because the disk was full
	full     error        // the error of the full disk; nil while there is space
	broken   error        // the first failure after which the journal cannot be used
}

// openJournal opens or creates the file, locks it for this process, truncates an incomplete last
// line and returns all entries.
func openJournal(path string) (*journal, []*Entry, error) {
	dir := filepath.Dir(path)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, nil, fmt.Errorf("mock bank: create the directory of the journal: %w", err)
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
	// No answer was sent for an incomplete line, so its payment was not executed.
	if err := file.Truncate(intact); err != nil {
		return nil, 0, err
	}
	// From now on lines that a crashed run wrote without fsync count as executed, so they must be
	// on disk first. The directory entry of a new file must be too.
	if err := file.Sync(); err != nil {
		return nil, 0, err
	}
	return entries, intact, syncDir(dir)
}

// add queues a line. Lines must be added in the order of their seq.
func (j *journal) add(seq int64, line []byte) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if seq != j.last+1 {
		panic("mock bank: journal lines out of order")
	}
	j.last = seq
	j.pending = append(j.pending, line...)
}

// wait returns nil when the line of seq is on disk, and an error if that cannot be known.
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

// flush writes all lines that are not on disk. After most failures of a write or fsync it is
// unknown what is on disk, so the journal cannot be used until a restart reads the file. A full
// disk is different: the next call truncates what was written in part, and tries again.
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

// put writes and syncs lines.
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

// health returns why the journal cannot be written, or nil. If the disk was full, it tries again.
func (j *journal) health() error {
	j.commit.Lock()
	defer j.commit.Unlock()
	if j.full != nil {
		return j.flush()
	}
	return j.broken
}

// close writes the pending lines and closes the file. A later wait returns errClosed.
func (j *journal) close() error {
	j.commit.Lock()
	defer j.commit.Unlock()
	var err error
	if j.broken == nil {
		err = j.flush()
	}
	if j.full != nil {
		err = errors.Join(err, j.file.Truncate(j.size)) // removes lines for which no answer was sent
	}
	j.broken = errClosed
	return errors.Join(err, j.file.Close())
}
