package main

import (
	"bufio"
	"bytes"
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"unicode/utf8"

	chars "github.com/JDevAman/kizo/internal/text"
	"github.com/JDevAman/kizo/money"
)

// The limits of a payout file.
const (
	maxPayFile  = 8 << 30 // bytes
	maxPayRows  = 5_000_000
	maxPayLine  = 64 << 10 // bytes of one row
	maxPayee    = 254      // bytes
	maxPayKey   = 180      // bytes of a row's id, as it is written in the key
	maxMemoSize = 140      // characters, as the server allows
)

// payColumns are the columns of a payout file, in their usual order. Only memo may be missing.
var payColumns = []string{"to", "amount", "currency", "memo", "id"}

// payRow is one row of a payout file.
type payRow struct {
	line   int // in the file; the header of a CSV file is line 1
	id     string
	to     string
	amount money.Amount
	memo   string
}

// key returns the idempotency key of the row in a run. Different ids have different keys.
func (r *payRow) key(run string) string { return "pay:" + run + ":" + keyText(r.id) }

// keyText writes an id in the characters that a key may have: it escapes all others, and the
// escape character.
func keyText(id string) string {
	var out strings.Builder
	for i := range len(id) {
		if b := id[i]; b > ' ' && b <= '~' && b != '%' {
			out.WriteByte(b)
		} else {
			fmt.Fprintf(&out, "%%%02X", b)
		}
	}
	return out.String()
}

// rowError is what is wrong with a row of a payout file.
type rowError struct {
	line  int
	fatal bool // the rows after it cannot be read
	err   error
}

func (e *rowError) Error() string { return fmt.Sprintf("row %d: %v", e.line, e.err) }
func (e *rowError) Unwrap() error { return e.err }

func rowErrorf(line int, format string, args ...any) *rowError {
	return &rowError{line: line, err: fmt.Errorf(format, args...)}
}

func fatalRow(line int, format string, args ...any) *rowError {
	return &rowError{line: line, fatal: true, err: fmt.Errorf(format, args...)}
}

// payReader reads the rows of a payout file one by one.
type payReader interface {
	// next returns the next row. The error is io.EOF at the end, or a *rowError. After one that is
	// not fatal, the next row can be read.
	next() (payRow, error)
}

// newPayReader reads the header and returns a reader of the rows. A file that begins with { has
// JSON lines, any other is CSV.
func newPayReader(file io.Reader) (payReader, error) {
	in := bufio.NewReaderSize(file, 64<<10)
	begin, err := in.Peek(4)
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, err
	}
	switch {
	case bytes.HasPrefix(begin, []byte{0xFF, 0xFE}), bytes.HasPrefix(begin, []byte{0xFE, 0xFF}):
		return nil, fatalRow(1, "the file is UTF-16: save it as UTF-8")
	case bytes.HasPrefix(begin, []byte("PK\x03\x04")):
		return nil, fatalRow(1, "the file is a spreadsheet or an archive: save it as CSV (UTF-8)")
	case bytes.HasPrefix(begin, []byte("\xEF\xBB\xBF")):
		if _, err := in.Discard(3); err != nil {
			return nil, err
		}
	}
	if first, err := in.Peek(1); err == nil && first[0] == '{' {
		return &payJSONReader{in: in}, nil
	}
	return newPayCSVReader(in)
}

// payCSVReader reads CSV (RFC 4180).
type payCSVReader struct {
	bounded *boundedReader
	csv     *csv.Reader
	columns []int // the position of each of payColumns in the file; -1 if it is missing
	width   int
	line    int // of the last row
}

func newPayCSVReader(in io.Reader) (*payCSVReader, error) {
	r := &payCSVReader{bounded: &boundedReader{in: in}}
	r.csv = csv.NewReader(bufio.NewReaderSize(r.bounded, 4<<10))
	r.csv.FieldsPerRecord, r.csv.ReuseRecord = -1, true
	header, err := r.record()
	if errors.Is(err, io.EOF) {
		return nil, fatalRow(1, "the file is empty: its first row names the columns %s", strings.Join(payColumns, ","))
	}
	if err != nil {
		return nil, err
	}
	r.columns, err = findColumns(header)
	r.width = len(header)
	return r, err
}

// findColumns returns the position of each of payColumns in the header.
func findColumns(header []string) ([]int, error) {
	const wanted = "the first row must name the columns to,amount,currency,memo,id"
	columns := slices.Repeat([]int{-1}, len(payColumns))
	for i, cell := range header {
		name := strings.ToLower(strings.TrimSpace(cell))
		known := slices.Index(payColumns, name)
		switch {
		case known < 0 && len(header) == 1 && strings.ContainsAny(name, ";\t"):
			return nil, fatalRow(1, "the columns must be separated by commas: %s", wanted)
		case known < 0 && strings.Contains(cell, "\r"):
			return nil, fatalRow(1, "the lines must end with LF or CRLF")
		case known < 0:
			return nil, fatalRow(1, "there is no column %s: %s", shortened(cell), wanted)
		case columns[known] >= 0:
			return nil, fatalRow(1, "the column %s is there twice", name)
		}
		columns[known] = i
	}
	for i, name := range payColumns {
		if columns[i] < 0 && name != "memo" {
			return nil, fatalRow(1, "the column %s is missing: %s", name, wanted)
		}
	}
	return columns, nil
}

func (r *payCSVReader) next() (payRow, error) {
	record, err := r.record()
	if err != nil {
		return payRow{}, err
	}
	if len(record) != r.width {
		return payRow{}, rowErrorf(r.line, "%d columns, and the header has %d", len(record), r.width)
	}
	var cells [5]string
	for i, at := range r.columns {
		if at >= 0 {
			cells[i] = record[at]
		}
	}
	return newPayRow(r.line, cells)
}

// record reads one record of at most maxPayLine bytes.
func (r *payCSVReader) record() ([]string, error) {
	r.bounded.left = maxPayLine
	before := r.line
	record, err := r.csv.Read()
	if err == nil {
		r.line, _ = r.csv.FieldPos(0)
		return record, checkCells(r.line, record)
	}
	wrong, malformed := errors.AsType[*csv.ParseError](err)
	switch {
	case errors.Is(err, errRowTooLong):
		return nil, fatalRow(before+1, "a row has at most %d bytes: a quote that is never closed makes the rest of the file one row", maxPayLine)
	case malformed:
		return nil, fatalRow(wrong.StartLine, "the quotes are not CSV: %w", wrong.Err)
	}
	return nil, err
}

// checkCells refuses what is not text.
func checkCells(line int, cells []string) error {
	for _, cell := range cells {
		switch {
		case strings.IndexByte(cell, 0) >= 0:
			return fatalRow(line, "the row contains a NUL byte: this is not a text file in UTF-8")
		case !utf8.ValidString(cell):
			return fatalRow(line, "the row is not UTF-8: save the file as UTF-8")
		}
	}
	return nil
}

var errRowTooLong = errors.New("the row is too long")

// boundedReader fails after left bytes.
type boundedReader struct {
	in   io.Reader
	left int
}

func (b *boundedReader) Read(p []byte) (int, error) {
	if b.left <= 0 {
		return 0, errRowTooLong
	}
	n, err := b.in.Read(p[:min(len(p), b.left)])
	b.left -= n
	return n, err
}

// payJSONReader reads JSON lines: one object of strings for each row.
type payJSONReader struct {
	in   *bufio.Reader
	line int
}

func (r *payJSONReader) next() (payRow, error) {
	for {
		line, err := r.readLine()
		if err != nil {
			return payRow{}, err
		}
		if len(line) == 0 {
			continue
		}
		cells, err := r.members(line)
		if err != nil {
			return payRow{}, err
		}
		return newPayRow(r.line, cells)
	}
}

// readLine returns the next line without space around it.
func (r *payJSONReader) readLine() ([]byte, error) {
	line, err := r.in.ReadSlice('\n') // the buffer has 64 KiB
	r.line++
	switch {
	case errors.Is(err, bufio.ErrBufferFull):
		return nil, fatalRow(r.line, "a row has at most %d bytes", maxPayLine)
	case errors.Is(err, io.EOF) && len(line) > 0:
	case err != nil:
		return nil, err
	}
	switch line = bytes.TrimSpace(line); {
	case bytes.IndexByte(line, 0) >= 0:
		return nil, fatalRow(r.line, "the row contains a NUL byte: this is not a text file in UTF-8")
	case !utf8.Valid(line):
		return nil, fatalRow(r.line, "the row is not UTF-8: save the file as UTF-8")
	}
	return line, nil
}

// members returns the values of an object in the order of payColumns.
func (r *payJSONReader) members(line []byte) (cells [5]string, err error) {
	const wanted = `write {"to":"@bob","amount":"12.50","currency":"USD","memo":"","id":"1"}`
	decoder := json.NewDecoder(bytes.NewReader(line))
	decoder.UseNumber()
	if token, err := decoder.Token(); err != nil || token != json.Delim('{') {
		return cells, rowErrorf(r.line, "the row is not a JSON object: %s", wanted)
	}
	var given [5]bool
	for decoder.More() {
		token, err := decoder.Token()
		name, _ := token.(string)
		if err != nil {
			return cells, rowErrorf(r.line, "the row is not valid JSON: %s", wanted)
		}
		known := slices.Index(payColumns, name)
		switch {
		case known < 0:
			return cells, rowErrorf(r.line, "there is no member %s: %s", shortened(name), wanted)
		case given[known]:
			return cells, rowErrorf(r.line, "the member %s is there twice", name)
		}
		given[known] = true
		if token, err = decoder.Token(); err != nil {
			return cells, rowErrorf(r.line, "the row is not valid JSON: %s", wanted)
		}
		value, isText := token.(string)
		switch number, isNumber := token.(json.Number); {
		case isNumber && name == "amount":
			return cells, rowErrorf(r.line, `the amount must be a string, as in "12.50": the number %s may mean units or minor units`, shortened(number.String()))
		case !isText:
			return cells, rowErrorf(r.line, "the member %s must be a string: %s", name, wanted)
		}
		cells[known] = value
	}
	if _, err := decoder.Token(); err != nil {
		return cells, rowErrorf(r.line, "the row is not valid JSON: %s", wanted)
	}
	if _, err := decoder.Token(); !errors.Is(err, io.EOF) {
		return cells, rowErrorf(r.line, "a row is one JSON object: %s", wanted)
	}
	for i, name := range payColumns {
		if !given[i] && name != "memo" {
			return cells, rowErrorf(r.line, "the member %s is missing: %s", name, wanted)
		}
	}
	return cells, checkCells(r.line, cells[:])
}

// newPayRow checks everything of a row that can be checked without the server. cells are in the
// order of payColumns.
func newPayRow(line int, cells [5]string) (payRow, error) {
	for i, cell := range cells {
		if strings.HasPrefix(strings.TrimLeft(cell, " \t"), "=") {
			return payRow{}, rowErrorf(line, "the %s begins like a formula of a spreadsheet: save the values, not the formulas", payColumns[i])
		}
	}
	row := payRow{line: line, to: strings.TrimSpace(cells[0]), memo: strings.Clone(cells[3]), id: strings.TrimSpace(cells[4])}
	row.to, row.id = strings.Clone(row.to), strings.Clone(row.id)
	switch {
	case row.id == "":
		return row, rowErrorf(line, "the id is missing: each row needs one, which the file has once")
	case len(keyText(row.id)) > maxPayKey:
		return row, rowErrorf(line, "the id is too long: use at most %d ASCII characters", maxPayKey)
	case row.to == "":
		return row, rowErrorf(line, "the payee is missing: name one, as in @bob")
	case len(row.to) > maxPayee || strings.ContainsAny(row.to, " \t\r\n"):
		return row, rowErrorf(line, "%s is not a payee: name one, as in @bob", shortened(row.to))
	}
	currency, err := money.ParseCurrency(strings.TrimSpace(cells[2]))
	if err != nil {
		return row, &rowError{line: line, err: err}
	}
	if row.amount, err = money.Parse(strings.TrimSpace(cells[1]), currency); err != nil {
		return row, &rowError{line: line, err: err}
	}
	return row, checkMemo(line, row.memo)
}

// checkMemo applies the server's rule for memos.
func checkMemo(line int, memo string) error {
	if utf8.RuneCountInString(memo) > maxMemoSize {
		return rowErrorf(line, "a memo is at most %d characters", maxMemoSize)
	}
	r, bad := chars.Unprintable(memo)
	if !bad {
		r, bad = chars.MisplacedJoiner(memo)
	}
	if bad {
		return rowErrorf(line, "the memo has a character that cannot be printed (U+%04X): leave it out", r)
	}
	return nil
}

// shortened quotes a text from the file, which may be long.
func shortened(s string) string {
	const enough = 40
	if runes := []rune(s[:min(len(s), 4*enough)]); len(runes) > enough {
		s = string(runes[:enough]) + "…"
	}
	return fmt.Sprintf("%q", s)
}
