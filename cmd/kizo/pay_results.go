package main

import (
	"bufio"
	"bytes"
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"

	"github.com/JDevAman/kizo/internal/printable"
	"github.com/JDevAman/kizo/money"
)

// payResults is the file of results beside the payout file, in which each row has a line: JSON, or
// CSV if the name of the file ends in .csv.
type payResults struct {
	path string

	mu     sync.Mutex
	file   *os.File
	failed error             // of the first write that failed, which may have left half a line
	counts payCounts         // of all lines
	final  map[uint64]uint64 // of the lines with a final state: hash of the id, and of the content

	complete int64 // bytes of complete lines, when they were read
	again    int   // lines of rows that are to be sent again
}

// readResults reads what earlier processes wrote about a run. It changes nothing.
func readResults(path string, hashes payHashes) (*payResults, error) {
	r := &payResults{path: path, final: make(map[uint64]uint64)}
	file, err := openResultsFile(path, os.O_RDONLY)
	if errors.Is(err, fs.ErrNotExist) {
		return r, nil
	}
	if err != nil {
		return nil, err
	}
	defer file.Close()
	r.complete, err = readPayResults(file, formatOfResults(path), func(result *payResult) {
		if !result.final() {
			r.again++
			return
		}
		r.counts.add(result)
		r.final[hashes.text(result.ID)] = hashes.content(result.To, result.Amount, result.Currency, result.Memo)
	})
	return r, err
}

// open makes the file ready for further lines. It removes the lines of rows that are to be sent
// again, and a line that a crash left incomplete.
func (r *payResults) open() error {
	if r.again > 0 {
		if err := r.rewrite(); err != nil {
			return err
		}
	}
	file, err := openResultsFile(r.path, os.O_CREATE|os.O_RDWR|os.O_APPEND)
	if err != nil {
		return err
	}
	r.file = file
	if r.again == 0 {
		if err := file.Truncate(r.complete); err != nil {
			return err
		}
	}
	if header := formatOfResults(r.path).header(); header != nil && r.complete == 0 && r.again == 0 {
		if _, err := file.Write(header); err != nil {
			return err
		}
	}
	return syncDir(filepath.Dir(r.path))
}

func openResultsFile(path string, flag int) (*os.File, error) {
	if info, err := os.Lstat(path); err == nil && !info.Mode().IsRegular() {
		return nil, fmt.Errorf("%s is not a regular file", path)
	}
	return os.OpenFile(path, flag|noFollow, 0o600)
}

// readPayResults calls each for every complete line, and returns where the last one ends.
func readPayResults(file io.Reader, format resultsFormat, each func(*payResult)) (end int64, err error) {
	in := bufio.NewReaderSize(file, 256<<10)
	for line := 1; ; line++ {
		text, err := in.ReadSlice('\n')
		if errors.Is(err, io.EOF) { // the text before it is a line that a crash cut off
			return end, nil
		}
		if err != nil {
			return end, err
		}
		end += int64(len(text))
		if line == 1 && bytes.Equal(text, format.header()) {
			continue
		}
		result, err := format.decode(text)
		if err != nil || result.ID == "" {
			return end, fmt.Errorf("line %d is not a result of kizo pay: move the file away, and its rows are requested again without paying twice", line)
		}
		each(&result)
	}
}

// rewrite replaces the results file by one that has only the results that are final. Rows whose
// results it drops are sent again.
func (r *payResults) rewrite() (err error) {
	removeLeftovers(r.path)
	old, err := openResultsFile(r.path, os.O_RDONLY)
	if err != nil {
		return err
	}
	defer old.Close()
	file, err := os.CreateTemp(filepath.Dir(r.path), newContent(r.path))
	if err != nil {
		return err
	}
	out, format := bufio.NewWriterSize(file, 256<<10), formatOfResults(r.path)
	_, _ = out.Write(format.header()) // Flush returns the error
	_, err = readPayResults(old, format, func(result *payResult) {
		if result.final() {
			_, _ = out.Write(format.encode(result))
		}
	})
	err = errors.Join(err, out.Flush(), file.Sync(), file.Close())
	if err == nil {
		old.Close() // before it is replaced, for Windows
		err = os.Rename(file.Name(), r.path)
	}
	if err != nil {
		_ = os.Remove(file.Name())
	}
	return err
}

// add appends results. They are on disk when it returns.
func (r *payResults) add(results []payResult) error {
	var text []byte
	format := formatOfResults(r.path)
	for i := range results {
		text = append(text, format.encode(&results[i])...)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.failed != nil {
		return r.failed
	}
	if _, r.failed = r.file.Write(text); r.failed != nil {
		return r.failed
	}
	for i := range results {
		r.counts.add(&results[i])
	}
	r.failed = r.file.Sync()
	return r.failed
}

// snapshot returns a copy of the counts.
func (r *payResults) snapshot() payCounts {
	r.mu.Lock()
	defer r.mu.Unlock()
	counts := r.counts
	counts.amounts = maps.Clone(counts.amounts)
	return counts
}

// resultsFormat is how results are written, one on each line.
type resultsFormat struct{ csv bool }

func formatOfResults(path string) resultsFormat {
	return resultsFormat{csv: strings.EqualFold(filepath.Ext(path), ".csv")}
}

// resultColumns are the columns of results in CSV. The amount is written as in the payout file.
var resultColumns = []string{"row", "id", "state", "to", "amount", "currency", "memo", "idempotency_key", "transfer_id", "replayed", "code", "detail"}

// header returns the first line of the file; nil if there is none.
func (f resultsFormat) header() []byte {
	if !f.csv {
		return nil
	}
	return []byte(strings.Join(resultColumns, ",") + "\n")
}

func (f resultsFormat) encode(result *payResult) []byte {
	var out bytes.Buffer
	if !f.csv {
		encoder := json.NewEncoder(&out)
		encoder.SetEscapeHTML(false)
		_ = encoder.Encode(result) // strings and integers
		return printable.JSON(out.Bytes())
	}
	amount := money.Amount{Minor: result.Amount, Currency: money.Currency(result.Currency)}
	to := result.To
	if !strings.HasPrefix(to, "@") { // a handle is no formula: the server has found its user
		to = printable.NotFormula(to)
	}
	line := csv.NewWriter(&out)
	_ = line.Write([]string{ // a bytes.Buffer never fails
		strconv.Itoa(result.Row), printable.NotFormula(result.ID), result.State, to, amount.Decimal(), result.Currency, printable.NotFormula(result.Memo),
		result.Key, result.TransferID, strconv.FormatBool(result.Replayed), result.Code, printable.NotFormula(printable.Text(result.Detail)),
	})
	line.Flush()
	return out.Bytes()
}

// decode reads a line that encode has written.
func (f resultsFormat) decode(line []byte) (result payResult, err error) {
	if !f.csv {
		err = json.Unmarshal(line, &result)
		return result, err
	}
	cells, err := csv.NewReader(bytes.NewReader(line)).Read()
	if err != nil || len(cells) != len(resultColumns) {
		return result, errors.Join(err, errors.New("the line has another number of columns"))
	}
	text := func(i int) string { return strings.TrimPrefix(cells[i], "'") }
	result = payResult{
		ID: text(1), State: cells[2], To: text(3), Currency: cells[5], Memo: text(6), Key: cells[7], TransferID: cells[8], Code: cells[10], Detail: text(11),
	}
	amount, err := money.Parse(cells[4], money.Currency(result.Currency))
	result.Amount = amount.Minor
	var errRow, errReplayed error
	result.Row, errRow = strconv.Atoi(cells[0])
	result.Replayed, errReplayed = strconv.ParseBool(cells[9])
	return result, errors.Join(err, errRow, errReplayed)
}
