package sim

import (
	"errors"
	"sync"

	"github.com/JDevAman/kizo/server/bank"
)

var errConflict = errors.New("mock bank: the ref belongs to another instruction")

// book holds what was done, by ref. The lock is held while a ref is looked up
// and entered, so a second execution has no way in; it is not held during fsync.
type book struct {
	journal *journal

	mu      sync.Mutex
	byRef   map[string]*record
	entries []*Entry // entries[i].Seq == i+1; may run ahead of the disk
}

// record is a ref that was submitted at least once, executed or not.
type record struct {
	entry   *Entry // nil until decided; never changed after
	submits uint32 // attempts in this process
	asked   uint32
}

func newBook(j *journal, entries []*Entry) *book {
	b := &book{journal: j, byRef: make(map[string]*record, len(entries)), entries: entries}
	for _, e := range entries {
		b.byRef[e.Ref] = &record{entry: e}
	}
	return b
}

// countSubmit numbers the submissions of a ref from 1.
func (b *book) countSubmit(ref string) uint32 {
	b.mu.Lock()
	defer b.mu.Unlock()
	r := b.byRef[ref]
	if r == nil {
		r = &record{}
		b.byRef[ref] = r
	}
	r.submits++
	return r.submits
}

// countStatus numbers the questions about a ref from 1. A ref that was never
// submitted is not remembered (0): strangers' questions cost no memory.
func (b *book) countStatus(ref string) uint32 {
	b.mu.Lock()
	defer b.mu.Unlock()
	r := b.byRef[ref]
	if r == nil {
		return 0
	}
	r.asked++
	return r.asked
}

// execute gives the entry of an instruction, making it with decide if the ref
// is new, and returns when it is on disk. First is true for the one call that
// made it.
func (b *book) execute(in bank.Instruction, decide func(seq int64) *Entry) (e *Entry, first bool, err error) {
	e, first, err = b.enter(in, decide)
	if err != nil {
		return nil, false, err
	}
	if err := b.journal.wait(e.Seq); err != nil {
		return nil, false, err
	}
	if e.Instruction != in {
		return nil, false, errConflict
	}
	return e, first, nil
}

func (b *book) enter(in bank.Instruction, decide func(seq int64) *Entry) (*Entry, bool, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	r := b.byRef[in.Ref]
	if r == nil {
		r = &record{}
		b.byRef[in.Ref] = r
	}
	if r.entry != nil {
		return r.entry, false, nil
	}
	e := decide(int64(len(b.entries)) + 1)
	line, err := e.line()
	if err != nil {
		return nil, false, err
	}
	r.entry = e
	b.entries = append(b.entries, e)
	b.journal.add(e.Seq, line) // inside the lock: the file has the order of seq
	return e, true, nil
}

// find gives the entry of a ref once it is on disk, or nil.
func (b *book) find(ref string) (*Entry, error) {
	b.mu.Lock()
	r := b.byRef[ref]
	var e *Entry
	if r != nil {
		e = r.entry
	}
	b.mu.Unlock()
	if e == nil {
		return nil, nil
	}
	return e, b.journal.wait(e.Seq)
}

// page gives at most limit entries after a seq, of those on disk.
func (b *book) page(after int64, limit int) []*Entry {
	synced := b.journal.synced.Load()
	from := min(after, synced)
	to := min(from+int64(limit), synced)
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.entries[from:to:to]
}
