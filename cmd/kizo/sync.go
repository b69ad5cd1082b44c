package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"github.com/JDevAman/kizo/client"
	"github.com/JDevAman/kizo/internal/books"
	"github.com/JDevAman/kizo/internal/printable"
)

const (
	syncStateName = ".kizo-sync.json"
	syncLockName  = ".kizo-sync.lock"

	// syncStep is after how many entries the files and the state are written and synced. It bounds
	// the memory for text that is not written yet.
	syncStep = 1000
)

type syncOptions struct {
	app    *app
	format string
	dir    string
}

func newSyncCommand(a *app) *cobra.Command {
	opts := &syncOptions{app: a}
	cmd := &cobra.Command{
		Use:   "sync DIR",
		Short: "Keep your books in files that only grow",
		Long: `Append what is new to your books in a directory: a file for each month (UTC), and for journals a file with
the accounts and one that includes the others (kizo.journal).

kizo never changes what it has written, and a run without news writes nothing. It can be killed at any
moment: the next run continues, without a line twice or missing. Do not edit the files; include them in
files of your own.

` + booksHelp,
		Example: `  kizo sync books --format hledger
  kizo sync rows --format csv`,
		Args: takes("DIR"),
		RunE: func(cmd *cobra.Command, args []string) error {
			opts.dir = args[0]
			return syncRun(cmd.Context(), opts)
		},
	}
	addFormat(cmd, &opts.format, formatNames())
	return cmd
}

// syncState is where a directory of books continues. It is replaced after everything up to there is
// in the files and on disk.
type syncState struct {
	Version int              `json:"version"`
	Server  string           `json:"server"`
	User    string           `json:"user"` // id
	Format  string           `json:"format"`
	After   string           `json:"after"` // the last event whose entry is in the files
	Wallets []books.Wallet   `json:"wallets"`
	Files   map[string]int64 `json:"files"` // sizes in bytes, by name
}

// syncStateVersion changes when an older kizo could not continue the files.
const syncStateVersion = 1

func syncRun(ctx context.Context, opts *syncOptions) error {
	kizo, err := opts.app.kizo()
	if err != nil {
		return err
	}
	user, err := kizo.Me(ctx)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(opts.dir, 0o700); err != nil {
		return err
	}
	unlock, err := lockFile(ctx, filepath.Join(opts.dir, syncLockName))
	if err != nil {
		return err
	}
	defer unlock()
	format, _ := books.FormatNamed(opts.format)
	s := &bookSync{dir: opts.dir, format: format, files: map[string]*bookFile{}}
	defer s.close()
	if err := s.load(syncState{Version: syncStateVersion, Server: kizo.Server(), User: user.Id.String(), Format: opts.format}); err != nil {
		return err
	}
	since := firstEvent
	if s.state.After != "" {
		since = s.state.After
	}
	if err := opts.app.readHistory(ctx, kizo, since, s.add); err != nil {
		return err
	}
	if err := s.finish(); err != nil {
		return err
	}
	if s.entries > 0 {
		if err := checkBalances(ctx, kizo, s.book.Wallets()); err != nil {
			return err
		}
	}
	if opts.app.io.OutTerminal {
		opts.app.io.note("%d new entries in %s", s.entries, printable.Text(opts.dir))
	}
	return nil
}

// bookSync appends entries to the files of a directory.
type bookSync struct {
	dir     string
	format  books.Format
	state   syncState
	book    *books.Book
	files   map[string]*bookFile // that are open, by name
	last    string               // the last event whose entry was added
	entries int                  // added in this run
	waiting int                  // of these, not in the files yet
}

// load reads the state of the directory, if it has one. want has what must not change.
func (s *bookSync) load(want syncState) error {
	s.state = want
	s.state.Files = map[string]int64{}
	path := filepath.Join(s.dir, syncStateName)
	text, err := readPrivate(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
	case err != nil:
		return err
	default:
		var found syncState
		if err := json.Unmarshal(text, &found); err != nil || found.Version < 1 || found.Files == nil {
			return fmt.Errorf("%s is damaged: start again in another directory", printable.Text(path))
		}
		if err := found.continues(want, s.dir); err != nil {
			return err
		}
		s.state = found
	}
	s.book = books.NewBook(s.state.Wallets)
	for name, size := range s.state.Files {
		if !filepath.IsLocal(name) || name != filepath.Base(name) {
			return fmt.Errorf("%s is damaged: start again in another directory", printable.Text(path))
		}
		info, err := os.Lstat(filepath.Join(s.dir, name))
		if err != nil {
			return err
		}
		if info.Size() < size {
			return fmt.Errorf("%s has %d bytes, but kizo wrote %d: restore the file, or start again in another directory",
				printable.Text(filepath.Join(s.dir, name)), info.Size(), size)
		}
	}
	return nil
}

// continues refuses to mix the books of two users or two formats.
func (found syncState) continues(want syncState, dir string) error {
	dir = printable.Text(dir)
	switch {
	case found.Version > want.Version:
		return fmt.Errorf("a newer version of kizo wrote %s: use that version", dir)
	case found.Server != want.Server || found.User != want.User:
		return usagef("%s has the books of another user or server (%s): use another directory", dir, printable.Text(found.Server))
	case found.Format != want.Format:
		return withHint(usagef("%s has books for %s, not for %s", dir, printable.Text(found.Format), want.Format),
			"kizo sync "+shellQuote(dir)+" --format "+shellQuote(printable.Text(found.Format)))
	}
	return nil
}

// add adds the entry of an event to the text that is to be written.
func (s *bookSync) add(e client.Event) error {
	entry, moved, err := s.book.Add(e)
	if err != nil || !moved {
		return err
	}
	month, err := s.file(entry.Wallet.Day[:len("2026-11")] + "." + s.format.Extension)
	if err != nil {
		return err
	}
	if entry.First() && s.format.Include != nil {
		accounts, err := s.accounts()
		if err != nil {
			return err
		}
		accounts.add(s.format.Wallet(entry.Wallet.Currency))
	}
	month.add(s.format.Entry(&entry))
	s.last = e.ID
	s.entries++
	if s.waiting++; s.waiting < syncStep {
		return nil
	}
	return s.save()
}

// accounts returns the file with the declarations. With it begins the one that includes the others.
func (s *bookSync) accounts() (*bookFile, error) {
	name := "accounts." + s.format.Extension
	if _, begun := s.state.Files[name]; begun || s.files[name] != nil {
		return s.file(name)
	}
	all, err := s.file("kizo." + s.format.Extension)
	if err != nil {
		return nil, err
	}
	all.add(s.format.Include(name) + s.format.Include("2*."+s.format.Extension))
	accounts, err := s.file(name)
	if err != nil {
		return nil, err
	}
	accounts.add(s.format.Accounts)
	return accounts, nil
}

// file opens a file of the directory. One without text begins with the header of the format.
func (s *bookSync) file(name string) (*bookFile, error) {
	if f := s.files[name]; f != nil {
		return f, nil
	}
	size, begun := s.state.Files[name]
	f, err := openBookFile(filepath.Join(s.dir, name), size)
	if err != nil {
		return nil, err
	}
	s.files[name] = f
	if !begun {
		f.add(s.format.Header)
	}
	return f, nil
}

// save writes the text to the files, and then the state. After a crash in between, the next run
// makes the same text again, and finds it in the files.
func (s *bookSync) save() error {
	if s.waiting == 0 {
		return nil
	}
	for name, f := range s.files {
		if err := f.write(); err != nil {
			return err
		}
		s.state.Files[name] = f.size
	}
	if err := syncDir(s.dir); err != nil {
		return err
	}
	s.state.After, s.state.Wallets, s.waiting = s.last, s.book.Wallets(), 0
	text, err := json.MarshalIndent(s.state, "", "  ")
	if err != nil {
		return err
	}
	return replaceFile(filepath.Join(s.dir, syncStateName), append(text, '\n'))
}

// finish saves the rest, and refuses files with text that kizo did not write.
func (s *bookSync) finish() error {
	if err := s.save(); err != nil {
		return err
	}
	removeLeftovers(filepath.Join(s.dir, syncStateName))
	for name, size := range s.state.Files {
		path := filepath.Join(s.dir, name)
		info, err := os.Lstat(path)
		if err != nil {
			return err
		}
		if info.Size() != size {
			return foreignText(path, size)
		}
	}
	return nil
}

func (s *bookSync) close() {
	for _, f := range s.files {
		f.file.Close()
	}
}

// bookFile is a file that only grows. What a killed run has written after size is compared with the
// text that is written next, and stays.
type bookFile struct {
	path      string
	file      *os.File
	size      int64           // bytes that are written by kizo and on disk
	unwritten strings.Builder // text that follows
}

func openBookFile(path string, size int64) (*bookFile, error) {
	if info, err := os.Lstat(path); err == nil && !info.Mode().IsRegular() {
		return nil, fmt.Errorf("%s is not a regular file", printable.Text(path))
	}
	file, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|noFollow, 0o600)
	if err != nil {
		return nil, err
	}
	return &bookFile{path: path, file: file, size: size}, nil
}

func (f *bookFile) add(text string) { f.unwritten.WriteString(text) }

// write appends the text that was added since the last call, and syncs the file to disk. What a
// killed run has already written of it is compared and kept.
func (f *bookFile) write() error {
	text := []byte(f.unwritten.String())
	if len(text) == 0 {
		return nil
	}
	info, err := f.file.Stat()
	if err != nil {
		return err
	}
	found := make([]byte, max(0, min(info.Size()-f.size, int64(len(text)))))
	if _, err := f.file.ReadAt(found, f.size); err != nil {
		return err
	}
	if string(found) != string(text[:len(found)]) {
		return foreignText(f.path, f.size)
	}
	if _, err := f.file.WriteAt(text[len(found):], f.size+int64(len(found))); err != nil {
		return err
	}
	if err := f.file.Sync(); err != nil {
		return err
	}
	f.size += int64(len(text))
	f.unwritten.Reset()
	return nil
}

// foreignText is the error for a file that has other text after size than kizo writes there.
func foreignText(path string, size int64) error {
	return withHint(fmt.Errorf("%s has text after its first %d bytes that kizo sync does not write: move it to a file of your own",
		printable.Text(path), size), fmt.Sprintf("truncate -s %d %s", size, shellQuote(path)))
}
