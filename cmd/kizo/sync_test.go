package main

import (
	"maps"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/fsnotify/fsnotify"

	"github.com/JDevAman/kizo/internal/testkit"
)

// booksIn returns the content of the files of a directory with books, by name.
func booksIn(t *testing.T, dir string) map[string]string {
	t.Helper()
	found := map[string]string{}
	entries, err := os.ReadDir(dir)
	testkit.Must(t, err)
	for _, e := range entries {
		text, err := os.ReadFile(filepath.Join(dir, e.Name()))
		testkit.Must(t, err)
		found[e.Name()] = string(text)
	}
	return found
}

// A second run writes nothing: no file has a new time.
func TestBookSyncWritesOnlyWhatIsNew(t *testing.T) {
	h := historyOf(t)
	w := h.world(t)
	w.expect(exitDone, "sync", "books", "--format", "jsonl")
	before := booksIn(t, "books")
	w.expect(exitDone, "export", "--format", "jsonl")
	months := ""
	old := time.Date(2001, 1, 1, 0, 0, 0, 0, time.UTC)
	for name, text := range before {
		if strings.HasSuffix(name, ".jsonl") {
			months += text // one month, or two at its end
		}
		testkit.Must(t, os.Chtimes(filepath.Join("books", name), old, old))
	}
	if len(months) != w.out.Len() {
		t.Errorf("the files have %d bytes, the export %d", len(months), w.out.Len())
	}
	w.expect(exitDone, "sync", "books", "--format", "jsonl")
	if !maps.Equal(booksIn(t, "books"), before) {
		t.Error("a second run has changed the files")
	}
	for name := range before {
		info, err := os.Stat(filepath.Join("books", name))
		testkit.Must(t, err)
		if !info.ModTime().Equal(old) {
			t.Errorf("a second run has written %s", name)
		}
	}
}

// Runs that are killed at random moments leave the files of one run that was not.
func TestBookSyncSurvivesKills(t *testing.T) {
	h := historyOf(t)
	w := h.world(t)
	w.expect(exitDone, "sync", "whole", "--format", "hledger")
	want := booksIn(t, "whole")
	testkit.Must(t, os.Mkdir("killed", 0o700))
	watcher, err := fsnotify.NewWatcher()
	testkit.Must(t, err)
	defer watcher.Close()
	testkit.Must(t, watcher.Add("killed"))
	r := rand.New(rand.NewPCG(3, 4))
	kills := 0
	for h.syncUntil(t, watcher, 1+r.IntN(6)) {
		kills++
	}
	t.Logf("%d kills", kills)
	if kills < 3 {
		t.Errorf("only %d kills hit a running sync", kills)
	}
	if got := booksIn(t, "killed"); !maps.Equal(got, want) {
		for name := range want {
			if got[name] != want[name] {
				t.Errorf("%s has %d bytes, want %d", name, len(got[name]), len(want[name]))
			}
		}
	}
}

// syncUntil runs kizo sync and kills it when it has changed the directory so many times. It returns
// false if kizo ended before that.
func (h *history) syncUntil(t *testing.T, watcher *fsnotify.Watcher, changes int) (killed bool) {
	t.Helper()
	command := exec.Command("kizo", "sync", "killed", "--format", "hledger")
	command.Env = append(os.Environ(), "KIZO_SERVER="+h.client.Server(), "XDG_STATE_HOME="+h.state)
	testkit.Must(t, command.Start())
	ended := make(chan error, 1)
	go func() { ended <- command.Wait() }()
	for {
		select {
		case <-watcher.Events:
			if changes--; changes == 0 {
				testkit.Must(t, command.Process.Kill())
				return (<-ended) != nil
			}
		case err := <-ended:
			testkit.Must(t, err)
			return false
		}
	}
}

// Whatever part of the text has reached the disk when a run dies before its first state, the next
// run completes it.
func TestBookSyncContinuesAnyPartOfItsText(t *testing.T) {
	h := historyOf(t)
	w := h.world(t)
	w.expect(exitDone, "sync", "whole", "--format", "beancount")
	want := booksIn(t, "whole")
	r := rand.New(rand.NewPCG(5, 6))
	for range 3 {
		testkit.Must(t, os.RemoveAll("part"))
		testkit.Must(t, os.Mkdir("part", 0o700))
		for name, text := range want {
			if !strings.HasPrefix(name, ".") && r.IntN(4) > 0 {
				testkit.Must(t, os.WriteFile(filepath.Join("part", name), []byte(text[:r.IntN(len(text)+1)]), 0o600))
			}
		}
		w.expect(exitDone, "sync", "part", "--format", "beancount")
		if !maps.Equal(booksIn(t, "part"), want) {
			t.Error("the files differ from those of one run")
		}
	}
}

func TestBookSyncRefusesForeignText(t *testing.T) {
	h := historyOf(t)
	w := h.world(t)
	w.expect(exitDone, "sync", "books", "--format", "csv")
	before := booksIn(t, "books")
	var month string
	for name := range before {
		if strings.HasSuffix(name, ".csv") {
			month = filepath.Join("books", name)
		}
	}
	text, err := os.ReadFile(month)
	testkit.Must(t, err)
	testkit.Must(t, os.WriteFile(month, append(text, "mine\n"...), 0o600))
	w.expect(exitFailure, "sync", "books", "--format", "csv")
	testkit.Contains(t, w.err.String(), "does not write", "truncate -s")
	testkit.Must(t, os.WriteFile(month, text[:len(text)-1], 0o600))
	w.expect(exitFailure, "sync", "books", "--format", "csv")
	testkit.Contains(t, w.err.String(), "restore the file")
	// Without its state, a changed line is found, and not written again.
	changed := append([]byte("AT"), text[2:]...)
	testkit.Must(t, os.WriteFile(month, changed, 0o600))
	testkit.Must(t, os.Remove(filepath.Join("books", syncStateName)))
	w.expect(exitFailure, "sync", "books", "--format", "csv")
	if now, _ := os.ReadFile(month); string(now) != string(changed) {
		t.Error("a foreign file was changed")
	}
}

func TestBookProgramsAcceptSyncedFiles(t *testing.T) {
	h := historyOf(t)
	for _, tool := range bookTools {
		t.Run(tool.program, func(t *testing.T) {
			needProgram(t, tool.program)
			w := h.world(t)
			w.expect(exitDone, "sync", "books", "--format", tool.format)
			all, err := filepath.Glob(filepath.Join(w.dir, "books", "kizo.*"))
			testkit.Must(t, err)
			if got, want := tool.read(t, all[0]), h.balancesNow(t); !maps.Equal(got, want) {
				t.Errorf("the books have %v, the API %v", got, want)
			}
		})
	}
}
