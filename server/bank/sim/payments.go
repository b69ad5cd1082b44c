package sim

import (
	"errors"
	"sync"

	"github.com/JDevAman/kizo/server/bank"
)

var errConflict = errors.New("mock bank: the ref belongs to another instruction")

// payments holds the decided payments by reference. The lock is held while a reference is looked
// up and inserted, so a reference is decided only once. It is not held during an fsync.
type payments struct {
	journal *journal

	mu      sync.Mutex
	byRef   map[string]*record
	entries []*Entry // entries[i].Seq == i+1; the last ones may not be on disk yet
}

// record is a reference that was submitted at least once.
type record struct {
	entry    *Entry // nil until decided, then never changed
	submits  uint32 // submissions to this process
	statuses uint32 // requests for the status to this process
}

func newPayments(j *journal, entries []*Entry) *payments {
	p := &payments{journal: j, byRef: make(map[string]*record, len(entries)), entries: entries}
	for _, e := range entries {
		p.byRef[e.Ref] = &record{entry: e}
	}
	return p
}

// countSubmit numbers the submissions of a reference from 1.
func (p *payments) countSubmit(ref string) uint32 {
	p.mu.Lock()
	defer p.mu.Unlock()
	r := p.byRef[ref]
	if r == nil {
		r = &record{}
		p.byRef[ref] = r
	}
	r.submits++
	return r.submits
}

// countStatus numbers the requests for the status of a reference from 1. It returns 0 for a
// reference that was never submitted, so that such requests need no memory.
func (p *payments) countStatus(ref string) uint32 {
	p.mu.Lock()
	defer p.mu.Unlock()
	r := p.byRef[ref]
	if r == nil {
		return 0
	}
	r.statuses++
	return r.statuses
}

// execute returns the entry of an instruction when it is on disk. If the reference is new, decide
// creates the entry and first is true. It fails with errConflict if the reference belongs to
// another instruction.
func (p *payments) execute(in bank.Instruction, decide func(seq int64) *Entry) (e *Entry, first bool, err error) {
	e, first, err = p.insert(in, decide)
	if err != nil {
		return nil, false, err
	}
	if err := p.journal.wait(e.Seq); err != nil {
		return nil, false, err
	}
	if e.Instruction != in {
		return nil, false, errConflict
	}
	return e, first, nil
}

// insert returns the entry of an instruction, or creates it and adds it to the journal.
func (p *payments) insert(in bank.Instruction, decide func(seq int64) *Entry) (*Entry, bool, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	r := p.byRef[in.Ref]
	if r == nil {
		r = &record{}
		p.byRef[in.Ref] = r
	}
	if r.entry != nil {
		return r.entry, false, nil
	}
	e := decide(int64(len(p.entries)) + 1)
	line, err := e.line()
	if err != nil {
		return nil, false, err
	}
	r.entry = e
	p.entries = append(p.entries, e)
	p.journal.add(e.Seq, line) // under the lock, so the file has the order of seq
	return e, true, nil
}

// find returns the entry of a reference when it is on disk, or nil if there is none.
func (p *payments) find(ref string) (*Entry, error) {
	p.mu.Lock()
	r := p.byRef[ref]
	var e *Entry
	if r != nil {
		e = r.entry
	}
	p.mu.Unlock()
	if e == nil {
		return nil, nil
	}
	return e, p.journal.wait(e.Seq)
}

// page returns at most limit entries after a sequence number, of those on disk.
func (p *payments) page(after int64, limit int) []*Entry {
	synced := p.journal.synced.Load()
	from := min(after, synced)
	to := min(from+int64(limit), synced)
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.entries[from:to:to]
}
