package sim

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
)

// maxLine is the largest length of a line in bytes; real lines are shorter than 500.
const maxLine = 4 << 10

// ReadJournal returns all entries of a journal in order. It changes nothing, and may read the
// journal of a running bank. It ignores an incomplete last line. Any other damage is an error: an
// unreadable line, a gap in seq, or a ref or bank_ref that appears twice.
func ReadJournal(path string) ([]Entry, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("mock bank: open journal: %w", err)
	}
	defer file.Close()
	read, _, err := readEntries(file)
	if err != nil {
		return nil, fmt.Errorf("mock bank: journal %s: %w", path, err)
	}
	entries := make([]Entry, len(read))
	for i, e := range read {
		entries[i] = *e
	}
	return entries, nil
}

// readEntries reads complete lines. intact is their total length in bytes.
func readEntries(r io.Reader) (entries []*Entry, intact int64, err error) {
	in := bufio.NewReaderSize(r, maxLine)
	refs, bankRefs := map[string]bool{}, map[string]bool{}
	for {
		line, err := in.ReadSlice('\n')
		if errors.Is(err, io.EOF) {
			return entries, intact, nil // the rest has no newline: an incomplete line
		}
		number := len(entries) + 1
		if err != nil {
			return nil, 0, fmt.Errorf("line %d: %w", number, err)
		}
		e, err := parseEntry(line[:len(line)-1])
		if err != nil {
			return nil, 0, fmt.Errorf("line %d is damaged: %w", number, err)
		}
		if e.Seq != int64(number) || refs[e.Ref] || bankRefs[e.BankRef] {
			return nil, 0, fmt.Errorf("line %d is damaged: seq %d, or a ref that appeared before", number, e.Seq)
		}
		refs[e.Ref], bankRefs[e.BankRef] = true, true
		entries, intact = append(entries, e), intact+int64(len(line))
	}
}
