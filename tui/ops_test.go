package tui

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	tea "github.com/charmbracelet/bubbletea"
	"github.com/charmbracelet/x/ansi"
	"github.com/google/uuid"
	"github.com/muesli/termenv"
	"pgregory.net/rapid"

	"github.com/JDevAman/kizo/client"
	"github.com/JDevAman/kizo/internal/testkit"
	"github.com/JDevAman/kizo/tui/draw"
	"github.com/JDevAman/kizo/tui/theme"
)

var rewrite = flag.Bool("golden", false, "rewrite the golden screens")

var noon = time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)

// golden compares a screen with its golden file.
func golden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", "golden", name+".txt")
	if *rewrite {
		testkit.Must(t, os.WriteFile(path, []byte(got+"\n"), 0o600))
		return
	}
	want, err := os.ReadFile(path)
	testkit.Must(t, err)
	if got+"\n" != string(want) {
		t.Errorf("%s is\n%s\nwant\n%s\n(go test ./tui -golden rewrites them)", name, got, want)
	}
}

func operatorModel(t testing.TB) *shared {
	t.Helper()
	plain, err := theme.New("mono", true, termenv.Ascii)
	testkit.Must(t, err)
	return &shared{pen: pen{plain, draw.Braille}, now: noon, server: &operatorRecord{}}
}

func ptr[T any](v T) *T { return &v }

// minuteOfOperations takes one snapshot per second for a minute.
func minuteOfOperations(o *operations) {
	for i := range 60 {
		o.take(snapshotAt(i))
	}
}

// quarterOfOperations takes those of 15 minutes; for one of them, the server did not answer.
func quarterOfOperations(o *operations) {
	for i := -840; i < 60; i++ {
		if i < -300 || i >= -240 {
			o.take(snapshotAt(i))
		}
	}
}

func snapshotAt(second int) client.OpsSnapshot {
	wave := 1 + math.Sin(float64(second)/25)
	return client.OpsSnapshot{
		At: noon.Add(time.Duration(second-60) * time.Second), IntervalMs: 1000, RedisOk: true,
		Queues: &[]client.QueueSnapshot{
			{Name: "bank", Pending: int(20 * wave), Active: 7, Retry: 3, Archived: 2, OldestMs: 420, ProcessedTotal: 100_000 + 40*second + int(900*math.Sin(float64(second)/40)), FailedTotal: 12},
			{Name: "callbacks", Paused: true, Scheduled: 4, ProcessedTotal: 9},
		},
		Workers:     &client.WorkersSnapshot{Servers: 1, Busy: 7, Slots: 50},
		Settlement:  &client.LatencySnapshot{Count: 80, PerSecond: 40 * wave, P50Ms: ptr(30 + 10*wave), P99Ms: ptr(200 * wave)},
		Api:         client.LatencySnapshot{Count: 300, PerSecond: 300, P50Ms: ptr(1.8), P99Ms: ptr(12 * wave)},
		Database:    client.DatabaseSnapshot{Ok: true, Commits: client.LatencySnapshot{PerSecond: 90, P50Ms: ptr(1.2), P99Ms: ptr(4 * wave)}, BatchSize: ptr(3.4), ConnectionsBusy: 4, ConnectionsMax: 20},
		BankBreaker: ptr("closed"), Janitor: &client.JanitorSnapshot{NeedsReview: 1}, LastAudit: &client.AuditSnapshot{At: noon.Add(-time.Hour), Ok: true},
	}
}

func taskNumber(i int) client.Task {
	id := uuid.UUID{0x01, 0x93, 0x5f, 0x00, 0, 0, 0x70, 0, 0x80, 15: byte(i)}
	return client.Task{Id: id.String() + ":1", Queue: "bank", State: "archived", TransferId: &id,
		LastError: ptr("the bank did not answer\x1b[2J within 5 s"), Payment: &client.Payment{TransferId: id, User: ptr(fmt.Sprintf("user%d", i%4)),
			Direction: client.PaymentWithdrawal, Amount: int64(i+1) * 10_05, Currency: "USD", State: client.PaymentUnknown, Attempts: i % 7,
			CreatedAt: noon.Add(-time.Duration(i) * time.Minute), LastError: ptr("no answer"), ExternalRef: "kizo-1"}}
}

var sizes = [][2]int{{80, 24}, {120, 40}, {240, 60}}

func TestQueuesGoldens(t *testing.T) {
	for _, size := range sizes {
		m, s := operatorModel(t), newQueuesScreen()
		quarterOfOperations(&m.ops)
		s.tab = "archived"
		list := taskList{key: s.key(m)}
		for i := range 30 {
			list.tasks = append(list.tasks, taskNumber(i))
		}
		s.update(m, taskListMsg{list: list, key: list.key})
		s.move(1)
		golden(t, fmt.Sprintf("queues-%dx%d", size[0], size[1]), s.view(m, size[0], size[1]))

		s.tab = review
		s.update(m, taskListMsg{key: s.key(m), list: taskList{key: s.key(m), payments: []client.Payment{{
			TransferId: *taskNumber(1).TransferId, Direction: client.PaymentWithdrawal, Amount: 12_50, Currency: "USD", State: client.PaymentNeedsReview,
			Attempts: 12, CreatedAt: noon.Add(-time.Hour), LastError: ptr("executed after rejected")}}}})
		golden(t, fmt.Sprintf("review-%dx%d", size[0], size[1]), s.view(m, size[0], size[1]))
	}
}

func TestHealthGoldens(t *testing.T) {
	for _, size := range sizes {
		m := operatorModel(t)
		quarterOfOperations(&m.ops)
		golden(t, fmt.Sprintf("health-%dx%d", size[0], size[1]), m.healthView(&m.ops, m.now, size[0], size[1]))
	}
	m := operatorModel(t)
	quarterOfOperations(&m.ops)
	golden(t, "health-80x20", m.healthView(&m.ops, m.now, 80, 20))
	m = operatorModel(t)
	m.ops.take(client.OpsSnapshot{At: noon})
	golden(t, "health-unknown-80x24", m.healthView(&m.ops, m.now, 80, 24))
	m = operatorModel(t)
	m.ops.denied = true
	golden(t, "health-denied-80x24", m.healthView(&m.ops, m.now, 80, 24))
}

func keyMsg(name string) tea.KeyMsg {
	if name == " " {
		return tea.KeyMsg{Type: tea.KeySpace, Runes: []rune{' '}}
	}
	for kind := tea.KeyType(-200); kind < 200; kind++ {
		if msg := (tea.KeyMsg{Type: kind}); kind != tea.KeyRunes && msg.String() == name {
			return msg
		}
	}
	return tea.KeyMsg{Type: tea.KeyRunes, Runes: []rune(name)}
}

// press sends a key to the focused screen, as the root does.
func press(m *shared, s screen, name string) tea.Cmd {
	if m.overlay != nil {
		s = m.overlay
	}
	for _, b := range s.keys(m) {
		if slices.Contains(b.keys, name) {
			return b.run(m)
		}
	}
	return s.update(m, keyMsg(name))
}

// wholeServer has the methods that no test here calls.
type wholeServer interface{ Server }

// operatorRecord records the requests of the screen.
type operatorRecord struct {
	wholeServer
	acted []string
	err   error
}

func (r *operatorRecord) ActOnTask(_ context.Context, queue, task, action, reason string) error {
	r.acted = append(r.acted, strings.Join([]string{queue, task, action, reason}, " "))
	return r.err
}

func (r *operatorRecord) PauseQueue(_ context.Context, queue, reason string) error {
	r.acted = append(r.acted, "pause "+queue+" "+reason)
	return r.err
}

func TestAnActionIsConfirmed(t *testing.T) {
	for _, test := range []struct {
		name string
		keys []string
		want string
	}{
		{"a reason and y", []string{"t", "w", "h", "y", "enter", "y"}, "bank " + taskNumber(1).Id + " retry why"},
		{"the button", []string{"d", "x", "enter", "right", "enter"}, "bank " + taskNumber(1).Id + " delete x"},
		{"Cancel has the focus", []string{"t", "x", "enter", "enter"}, ""},
		{"the key that opened it is a letter of the reason", []string{"d", "d", "d", "d"}, ""},
		{"nor does it confirm", []string{"d", "x", "enter", "d", "d"}, ""},
		{"no reason, no action", []string{"t", "enter", "y", "esc"}, ""},
		{"a blank reason is none", []string{"t", " ", "enter", "enter"}, ""},
		{"esc", []string{"t", "x", "enter", "esc"}, ""},
		{"the queue", []string{"p", "x", "enter", "y"}, "pause bank x"},
	} {
		t.Run(test.name, func(t *testing.T) {
			m, s := operatorModel(t), newQueuesScreen()
			record := &operatorRecord{}
			m.server = record
			minuteOfOperations(&m.ops)
			s.tab = "archived"
			s.update(m, taskListMsg{key: s.key(m), list: taskList{key: s.key(m), tasks: []client.Task{taskNumber(0), taskNumber(1)}}})
			s.move(1)
			var last tea.Cmd
			for _, key := range test.keys {
				last = press(m, s, key)
			}
			if last != nil {
				if acted, ok := last().(actedMsg); !ok || acted.err != nil {
					t.Errorf("%v", acted)
				}
			}
			if got := strings.Join(record.acted, "; "); got != test.want {
				t.Errorf("did %q, want %q", got, test.want)
			}
		})
	}
}

func TestReadonlyChangesNothing(t *testing.T) {
	m, s := operatorModel(t), newQueuesScreen()
	m.readonly = "it was started with --readonly"
	minuteOfOperations(&m.ops)
	s.tab = "archived"
	s.update(m, taskListMsg{key: s.key(m), list: taskList{key: s.key(m), tasks: []client.Task{taskNumber(0)}}})
	for _, key := range []string{"t", "a", "d", "p"} {
		press(m, s, key)
		if m.overlay != nil {
			t.Errorf("%s opened a confirmation", key)
		}
		if !strings.Contains(m.toast, "it was started with --readonly") {
			t.Errorf("%s was refused with %q", key, m.toast)
		}
	}
}

// TestTheHeaderNamesTheContext: so do the facts of a transfer, which are confirmed.
func TestTheHeaderNamesTheContext(t *testing.T) {
	m := operatorDashboard(t, 120, 40)
	m.context = "work"
	if where := m.where(); !strings.Contains(where, "http://127.0.0.1:7420 (work)") {
		t.Errorf("the header says %q", where)
	}
}

// TestASelectedTaskStaysSelected: when rows above it disappear, no other row becomes selected.
func TestASelectedTaskStaysSelected(t *testing.T) {
	m, s := operatorModel(t), newQueuesScreen()
	minuteOfOperations(&m.ops)
	key := s.key(m)
	tasks := []client.Task{taskNumber(0), taskNumber(1), taskNumber(2)}
	s.update(m, taskListMsg{key: key, list: taskList{key: key, tasks: tasks}})
	s.move(2)
	s.update(m, taskListMsg{key: key, list: taskList{key: key, tasks: tasks[1:]}})
	if got := s.list.id(s.selected); got != tasks[2].Id {
		t.Errorf("%s is selected", got)
	}
	s.update(m, taskListMsg{key: listKey{"bank", "retry"}, list: taskList{}}) // the answer to an older request
	if s.list.length() != 2 {
		t.Errorf("%d tasks", s.list.length())
	}
	s.update(m, taskListMsg{key: key, err: errors.New("gone\x1b[2J")})
	if view := s.view(m, 80, 24); !strings.Contains(view, `gone\u{1b}[2J`) {
		t.Errorf("%s", view)
	}
}

func TestSearch(t *testing.T) {
	m, s := operatorModel(t), newQueuesScreen()
	minuteOfOperations(&m.ops)
	palette := newPaletteScreen([]keyGroup{{"Queues", s.keys(m)}})
	m.open(palette)
	for _, letter := range "pausq" {
		press(m, s, string(letter))
	}
	if found := palette.matches(); len(found) == 0 || found[0].shown != "p" {
		t.Errorf("found %v", found)
	}
	if view := palette.view(m, 100, 20); !strings.Contains(view, "$ kizo ops queue pause QUEUE") {
		t.Errorf("the command is missing:\n%s", view)
	}
	press(m, s, "enter")
	if _, asks := m.overlay.(*reviewDialog); !asks {
		t.Errorf("enter opened %T", m.overlay)
	}
	help := newHelpScreen([]keyGroup{{"Queues", s.keys(m)}})
	for _, size := range sizes {
		golden(t, fmt.Sprintf("help-%dx%d", size[0], size[1]), help.view(m, size[0], size[1]))
	}
}

func TestFuzzy(t *testing.T) {
	for _, test := range []struct {
		query, text string
		found       bool
	}{{"", "x", true}, {"pq", "pause the queue", true}, {"PAU", "pause", true}, {"qp", "pause the queue", false}, {"a b", "ab", true}} {
		if _, found := fuzzy(test.query, test.text); found != test.found {
			t.Errorf("%q in %q: %v", test.query, test.text, found)
		}
	}
	word, _ := fuzzy("ret", "retry the task")
	scattered, _ := fuzzy("ret", "archive the test")
	if word <= scattered {
		t.Errorf("%d is not better than %d", word, scattered)
	}
}

// keymapFaults returns the bindings without help, and keys with two meanings on one screen.
func keymapFaults(keys []binding) []string {
	var faults []string
	seen := map[string]string{}
	for _, b := range keys {
		if b.help == "" || b.shown == "" || b.run == nil || len(b.keys) == 0 {
			faults = append(faults, fmt.Sprintf("%v is not documented", b.keys))
		}
		for _, key := range b.keys {
			if other, twice := seen[key]; twice {
				faults = append(faults, fmt.Sprintf("%s is %q and %q", key, other, b.help))
			}
			seen[key] = b.help
		}
	}
	return faults
}

func TestKeymaps(t *testing.T) {
	m := operatorModel(t)
	minuteOfOperations(&m.ops)
	withReason := action{verb: "Do", effect: always("")}.withReason("kizo", nil)
	asking := newReviewDialog(withReason)
	asking.step = reviewing
	reviews := newQueuesScreen()
	reviews.tab = review
	for name, s := range map[string]screen{"queues": newQueuesScreen(), "review": reviews, "why": newReviewDialog(withReason), "whether": asking,
		"palette": newPaletteScreen(nil), "help": newHelpScreen(nil)} {
		for _, fault := range keymapFaults(s.keys(m)) {
			t.Errorf("%s: %s", name, fault)
		}
	}
	if len(keymapFaults([]binding{{keys: []string{"a"}}, {keys: []string{"a"}, shown: "a", help: "x", run: func(*shared) tea.Cmd { return nil }}})) != 2 {
		t.Error("the check finds nothing")
	}
}

// TestOperatorsScreensFit: a screen has exactly its size, whatever the data.
func TestOperatorsScreensFit(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		m, s := operatorModel(t), newQueuesScreen()
		m.detail = rapid.SampledFrom([]draw.Detail{draw.ASCII, draw.Blocks, draw.Braille}).Draw(r, "detail")
		width, height := rapid.IntRange(58, 300).Draw(r, "width"), rapid.IntRange(11, 100).Draw(r, "height")
		evil := rapid.OneOf(rapid.String(), rapid.SampledFrom([]string{"\x1b[2J", "\x1b]52;c;eA==\x07", "\u202e", "☰☰☰", "e\u0301\u0301\u0301\u0301\u0301\u0301", "山田太郎"}))
		for i := range rapid.IntRange(0, 5).Draw(r, "snapshots") {
			snapshot := snapshotAt(i)
			(*snapshot.Queues)[0].Name, (*snapshot.Queues)[1].Pending = evil.Draw(r, "queue"), rapid.Int().Draw(r, "pending")
			snapshot.BankBreaker = ptr(evil.Draw(r, "breaker"))
			if rapid.Bool().Draw(r, "little is known") {
				snapshot = client.OpsSnapshot{At: snapshot.At}
			}
			m.ops.take(snapshot)
		}
		s.tab = rapid.SampledFrom(taskTabs()).Draw(r, "tab")
		list := taskList{key: s.key(m)}
		for i := range rapid.IntRange(0, 100).Draw(r, "tasks") {
			task := taskNumber(i)
			task.Id, task.LastError = evil.Draw(r, "id"), ptr(evil.Draw(r, "error"))
			if s.tab == review {
				list.payments = append(list.payments, client.Payment{LastError: task.LastError, Currency: "USD", Amount: rapid.Int64().Draw(r, "amount")})
			} else {
				list.tasks = append(list.tasks, task)
			}
		}
		s.update(m, taskListMsg{key: s.key(m), list: list})
		s.move(rapid.IntRange(0, 100).Draw(r, "selected"))
		confirm := newReviewDialog(action{title: evil.Draw(r, "title"), effect: always(evil.Draw(r, "effect")), verb: "Do",
			subject: []draw.Pair{{Name: "x", Value: evil.Draw(r, "x")}}}.withReason("kizo ops", nil))
		if confirm.field.set(evil.Draw(r, "reason")); rapid.Bool().Draw(r, "asking") {
			confirm.step = reviewing
		}
		palette := newPaletteScreen([]keyGroup{{"Queues", s.keys(m)}})
		palette.query = evil.Draw(r, "query")
		for name, view := range map[string]string{"queues": s.view(m, width, height), "health": m.healthView(&m.ops, m.now, width, height),
			"confirm": confirm.view(m, width, height), "palette": palette.view(m, width, height)} {
			lines := strings.Split(view, "\n")
			if len(lines) != height {
				r.Fatalf("%s has %d lines, not %d", name, len(lines), height)
			}
			for _, line := range lines {
				if ansi.StringWidth(line) != width || strings.ContainsAny(line, "\x1b\x07\r\u202e") {
					r.Fatalf("%s: %q is %d wide, not %d", name, line, ansi.StringWidth(line), width)
				}
			}
		}
	})
}

// StepUp accepts one code.
func (r *operatorRecord) StepUp(_ context.Context, otp string) (time.Time, error) {
	if otp != "123456" {
		return time.Time{}, &client.Error{Status: 401, Code: client.OTPInvalid, Detail: "this code is wrong"}
	}
	r.err = nil
	return noon, nil
}

// TestAnActionOfAnOperatorAsksForACode in the dialog of the action, and does it after a right one.
func TestAnActionOfAnOperatorAsksForACode(t *testing.T) {
	m := operatorDashboard(t, 80, 24)
	record := &operatorRecord{err: &client.Error{Status: 403, Code: client.StepUpRequired, Detail: "a recent code is required"}}
	m.server = record
	press := func(names ...string) {
		for _, msg := range keys(names...) {
			_, command := m.Update(msg)
			for _, answer := range messagesOf(command) {
				switch answer.(type) {
				case actedMsg, codeNeededMsg, steppedUpMsg:
					_, again := m.Update(answer)
					for _, answer := range messagesOf(again) {
						if _, ok := answer.(actedMsg); ok {
							m.Update(answer)
						}
					}
				}
			}
		}
	}
	m.act(action{title: "Pause the queue?", verb: "Pause", effect: func(string) string { return "It stops." }}.
		withReason("kizo ops queue pause bank", func(ctx context.Context, reason string) (string, error) {
			return "Paused.", record.PauseQueue(ctx, "bank", reason)
		}))
	press("x", "enter", "y")
	if view := m.View(); !strings.Contains(view, "authenticator app") || !strings.Contains(view, "kizo ops queue pause bank") && !strings.Contains(view, "Code needed") {
		t.Fatalf("no code is asked for:\n%s", view)
	}
	press("1", "enter")
	if view := m.View(); !strings.Contains(view, "this code is wrong") {
		t.Errorf("a wrong code:\n%s", view)
	}
	press("1", "2", "3", "4", "5", "6", "enter")
	if got := strings.Join(record.acted, "; "); got != "pause bank x; pause bank x" || m.overlay != nil || m.toast != "Paused." {
		t.Errorf("did %q, toast %q, overlay %T", got, m.toast, m.overlay)
	}
}
