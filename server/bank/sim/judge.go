package sim

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
)

// maxLine bounds a journal line in bytes; real ones are below 500.
const maxLine = 4 << 10

// ReadJournal gives what the bank did, in order, for tests and judges. It
// changes nothing and may read the journal of a running bank. A torn last line
// is left out; any other damage (unreadable line, gap in seq, ref or bank_ref
// twice) is an error.
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

// readEntries reads whole lines and says at which byte they end.
func readEntries(r io.Reader) (entries []*Entry, intact int64, err error) {
	in := bufio.NewReaderSize(r, maxLine)
	refs, bankRefs := map[string]bool{}, map[string]bool{}
	for {
		line, err := in.ReadSlice('\n')
		if errors.Is(err, io.EOF) {
			return entries, intact, nil // what is left has no newline: torn
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
