package main

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"hash/maphash"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"time"

	"github.com/JDevAman/kizo/client"
)

// payRecord describes a run. It is on disk before the first row is sent.
type payRecord struct {
	Run          string     `json:"run"`
	Server       string     `json:"server"`
	UserID       string     `json:"user_id"` // a run is only ever continued as the same user
	Handle       string     `json:"handle"`
	File         string     `json:"file"`    // as the user named it; "-" is stdin
	Results      string     `json:"results"` // absolute path
	AllOrNothing bool       `json:"all_or_nothing"`
	Rows         int        `json:"rows"`
	StartedAt    time.Time  `json:"started_at"`
	FinishedAt   *time.Time `json:"finished_at,omitempty"` // when every row had a final result
}

// payStore is the directory of one run in the state directory: its record, a copy of the rows that
// were checked, and a lock.
type payStore struct{ dir string }

// payRunForm is what a run may be called. A colon would end it in the keys of its rows.
var payRunForm = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{0,39}$`)

// checkPayRun checks the name of a run.
func checkPayRun(run string) error {
	if !payRunForm.MatchString(run) {
		return usagef("%s is not the name of a run: use 1 to 40 of the characters A-Z, a-z, 0-9, point, _ and -", shortened(run))
	}
	return nil
}

// defaultPayRun names the run of a file by its path, so that the same command continues it, even
// without its state.
func defaultPayRun(path string) string {
	digest := sha256.Sum256([]byte(path))
	var name []byte
	for _, b := range []byte(filepath.Base(path)) {
		if payRunForm.Match([]byte{'a', b}) && len(name) < 28 {
			name = append(name, b)
		}
	}
	return "f" + hex.EncodeToString(digest[:5]) + string(append([]byte("-"), name...))
}

// payStoreOf returns the directory of a run of a user of a server.
func (a *app) payStoreOf(server, userID, run string) (*payStore, error) {
	state, err := a.stateDir()
	if err != nil {
		return nil, err
	}
	digest := sha256.Sum256([]byte(server + "\n" + userID))
	return &payStore{filepath.Join(state, "pay", run+"-"+hex.EncodeToString(digest[:4]))}, nil
}

func (s *payStore) recordPath() string { return filepath.Join(s.dir, "run.json") }
func (s *payStore) rowsPath() string   { return filepath.Join(s.dir, "rows") }

// record returns the stored record; nil if the run is new.
func (s *payStore) record() (*payRecord, error) {
	text, err := readPrivate(s.recordPath())
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil //nolint:nilnil // a new run is no error
	}
	if err != nil {
		return nil, err
	}
	record := new(payRecord)
	if err := json.Unmarshal(text, record); err != nil {
		return nil, fmt.Errorf("%s is damaged: %w", s.recordPath(), err)
	}
	return record, nil
}

// save stores the record. It is on disk when save returns.
func (s *payStore) save(record *payRecord) error {
	text, err := json.Marshal(record)
	if err != nil {
		return err
	}
	return replaceFile(s.recordPath(), append(text, '\n'))
}

// lock keeps other processes from working on the run until the process ends.
func (s *payStore) lock(ctx context.Context, run string) (unlock func(), err error) {
	const enough = 2 * time.Second
	runs := filepath.Dir(s.dir)
	for _, dir := range []string{filepath.Dir(runs), runs, s.dir} {
		if err := makePrivateDir(dir); err != nil {
			return nil, err
		}
	}
	short, cancel := context.WithTimeout(ctx, enough)
	defer cancel()
	unlock, err = lockFile(short, filepath.Join(s.dir, "lock"))
	if errors.Is(err, context.DeadlineExceeded) {
		return nil, usagef("another kizo process works on the run %s", run)
	}
	return unlock, err
}

// copyRows copies the input into the directory, so that the rows that are paid are those that were
// checked. The caller keeps the copy or removes it.
func (s *payStore) copyRows(ctx context.Context, in io.Reader) (path string, err error) {
	removeLeftovers(s.rowsPath())
	file, err := os.CreateTemp(s.dir, newContent(s.rowsPath())) // 0600
	if err != nil {
		return "", err
	}
	defer func() {
		if err = errors.Join(err, file.Close()); err != nil {
			_ = os.Remove(file.Name())
		}
	}()
	n, err := io.Copy(file, io.LimitReader(&contextReader{ctx, in}, maxPayFile+1))
	if err == nil && n > maxPayFile {
		err = usagef("the file is larger than %d bytes: split it", int64(maxPayFile))
	}
	if err == nil {
		err = file.Sync()
	}
	return file.Name(), err
}

// keepRows makes a copy the rows of the run.
func (s *payStore) keepRows(copied string) error {
	if err := os.Rename(copied, s.rowsPath()); err != nil {
		return err
	}
	return syncDir(s.dir)
}

// contextReader fails once its context has ended.
type contextReader struct {
	ctx context.Context //nolint:containedctx // io.Reader has no other place for it
	in  io.Reader
}

func (r *contextReader) Read(p []byte) (int, error) {
	if err := r.ctx.Err(); err != nil {
		return 0, err
	}
	return r.in.Read(p)
}

// The states of a row in the results. The first two are final: the key has its result forever. Rows
// in the other two are sent again when the run is continued.
const (
	rowPosted  = "posted"
	rowRefused = "refused" // stored by the server
	rowFailed  = "failed"  // nothing was stored: the payee does not exist any more, say
	rowUnknown = "unknown" // it may have been paid
)

// payResult is a line of the results.
type payResult struct {
	Row        int    `json:"row"`
	ID         string `json:"id"`
	State      string `json:"state"`
	To         string `json:"to"`
	Amount     int64  `json:"amount"` // minor units
	Currency   string `json:"currency"`
	Memo       string `json:"memo,omitempty"`
	Key        string `json:"idempotency_key"`
	TransferID string `json:"transfer_id,omitempty"`
	Replayed   bool   `json:"replayed,omitempty"`
	Code       string `json:"code,omitempty"`
	Detail     string `json:"detail,omitempty"`
}

func (r *payResult) final() bool { return r.State == rowPosted || r.State == rowRefused }

// payHashes compares rows by 64-bit hashes, so that a run of millions of rows fits into memory.
type payHashes struct{ seed maphash.Seed }

func newPayHashes() payHashes { return payHashes{maphash.MakeSeed()} }

func (h payHashes) text(s string) uint64 { return maphash.String(h.seed, s) }

// content is a hash of what a row pays.
func (h payHashes) content(to string, amount int64, currency, memo string) uint64 {
	return maphash.Comparable(h.seed, struct {
		to, currency, memo string
		amount             int64
	}{to, currency, memo, amount})
}

// payCounts counts the rows of a run by state, and adds their amounts up.
type payCounts struct {
	posted, refused, failed, unknown int
	replayed                         int
	amounts                          map[string]int64 // posted, by currency
}

func (c *payCounts) add(r *payResult) {
	switch r.State {
	case rowPosted:
		c.posted++
		if c.amounts == nil {
			c.amounts = map[string]int64{}
		}
		c.amounts[r.Currency] += r.Amount // cannot overflow: the money was there
	case rowRefused:
		c.refused++
	case rowFailed:
		c.failed++
	case rowUnknown:
		c.unknown++
	}
	if r.Replayed {
		c.replayed++
	}
}

// settled is the number of rows that are not sent again by this process.
func (c *payCounts) settled() int { return c.posted + c.refused + c.failed }

// all is the number of rows that have a line.
func (c *payCounts) all() int { return c.settled() + c.unknown }

// payRuns returns the records of all runs, the oldest first.
func (a *app) payRuns() ([]payRecord, error) {
	state, err := a.stateDir()
	if err != nil {
		return nil, err
	}
	dirs, err := filepath.Glob(filepath.Join(state, "pay", "*"))
	if err != nil {
		return nil, err
	}
	var records []payRecord
	for _, dir := range dirs {
		record, err := (&payStore{dir}).record()
		if err != nil {
			return nil, err
		}
		if record != nil {
			records = append(records, *record)
		}
	}
	slices.SortStableFunc(records, func(a, b payRecord) int { return a.StartedAt.Compare(b.StartedAt) })
	return records, nil
}

// findPayRun returns the run with a name. If several servers or users have one, it is that of the
// configured server.
func (a *app) findPayRun(run string) (*payRecord, error) {
	if err := checkPayRun(run); err != nil {
		return nil, err
	}
	records, err := a.payRuns()
	if err != nil {
		return nil, err
	}
	records = slices.DeleteFunc(records, func(r payRecord) bool { return r.Run != run })
	if config, err := a.config(); err == nil && len(records) > 1 {
		server, _ := client.CleanServer(config.Server.Value)
		records = slices.DeleteFunc(records, func(r payRecord) bool { return r.Server != server })
	}
	switch len(records) {
	case 0:
		return nil, withHint(&exitError{exit: exitNotFound, code: "run_not_found", err: fmt.Errorf("there is no run %s here", run)}, "kizo pay list")
	case 1:
		return &records[0], nil
	}
	return nil, usagef("%d runs have this name: run kizo pay with the file again, as the user who began it", len(records))
}
