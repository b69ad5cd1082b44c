package tui

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	tea "github.com/charmbracelet/bubbletea"
	"github.com/charmbracelet/x/exp/teatest"

	"github.com/JDevAman/kizo/client"
	"github.com/JDevAman/kizo/internal/testkit"
)

// slowServer never answers, so that the screen shows only the messages of the test.
type slowServer struct{ wholeServer }

func (slowServer) Server() string { return "http://127.0.0.1:7420" }

func (slowServer) Summary(ctx context.Context, _ time.Time) (client.Summary, error) {
	<-ctx.Done()
	return client.Summary{}, ctx.Err()
}

func (slowServer) Transfers(ctx context.Context, _ client.ListTransfersParams) (client.TransferList, error) {
	<-ctx.Done()
	return client.TransferList{}, ctx.Err()
}

func (slowServer) Explain(ctx context.Context, _ client.ID) (client.Timeline, error) {
	<-ctx.Done()
	return client.Timeline{}, ctx.Err()
}

func (slowServer) Notices(ctx context.Context, _ client.ListNoticesParams) (client.NoticeList, error) {
	<-ctx.Done()
	return client.NoticeList{}, ctx.Err()
}

func (slowServer) SearchUsers(ctx context.Context, _ string) ([]client.Person, error) {
	<-ctx.Done()
	return nil, ctx.Err()
}

func (slowServer) Limits(ctx context.Context) (client.Limits, error) {
	<-ctx.Done()
	return client.Limits{}, ctx.Err()
}

func (slowServer) StepUpStatus(ctx context.Context) (client.StepUpStatus, error) {
	<-ctx.Done()
	return client.StepUpStatus{}, ctx.Err()
}

func (slowServer) StepUp(context.Context, string) (time.Time, error) {
	return time.Time{}, nil
}

func (slowServer) Preview(ctx context.Context, _ client.TransferCreate) (client.TransferPreview, error) {
	<-ctx.Done()
	return client.TransferPreview{}, ctx.Err()
}

func (slowServer) LogIn(ctx context.Context, _, _, _ string) (client.User, error) {
	<-ctx.Done()
	return client.User{}, ctx.Err()
}

func (slowServer) History(ctx context.Context, _ string) (client.OpsHistory, error) {
	<-ctx.Done()
	return client.OpsHistory{}, ctx.Err()
}

func (slowServer) Balance(ctx context.Context, _ string, _ time.Time) (client.Balance, error) {
	<-ctx.Done()
	return client.Balance{}, ctx.Err()
}

func (slowServer) Tasks(ctx context.Context, _ string, _ client.OpsListTasksParams) ([]client.Task, error) {
	<-ctx.Done()
	return nil, ctx.Err()
}

const someKey = "0193a000-0000-7000-8000-00000000c0de"

// dashboard returns a model with a stopped clock and a server that does not answer.
func dashboard(t testing.TB) *model {
	t.Helper()
	first := *operatorModel(t)
	first.server = slowServer{}
	first.newKey = func() string { return someKey }
	first.move = func(client.Command, string) (client.Receipt, error) { select {} }
	return newModel(first, func() time.Time { return noon }, func() {})
}

// ada is the user of the goldens.
func ada() client.User {
	return client.User{Handle: "ada", Name: "Ada Lovelace", Role: client.UserRoleUser}
}

// afterOpening returns the first messages of the server.
func afterOpening() []tea.Msg {
	return []tea.Msg{meMsg{ada()}, connectionStateMsg{state: live}, summaryMsg{summary: adasSummary("lunch")},
		pageMsg{pageAsk: pageAsk{}, found: adasTransfers(60)}}
}

// adasTransfers returns a page of transfers, newest first.
func adasTransfers(n int) client.TransferList {
	states := []client.TransferState{client.Posted, client.Posted, client.Pending, client.Posted, client.Refused, client.Voided}
	kinds := []client.TransferKind{client.TransferKindTransfer, client.TransferKindDeposit, client.TransferKindWithdrawal, client.TransferKindTransfer}
	var list client.TransferList
	for i := range n {
		t := client.Transfer{Id: *taskNumber(200 - i).TransferId, State: states[i%len(states)], Kind: kinds[i%len(kinds)], Direction: client.Out,
			Amount: int64(i+1) * 1234, Currency: "USD", CreatedAt: noon.Add(-time.Duration(i*i) * time.Minute),
			From: client.Party{Handle: pointerTo("ada"), Name: pointerTo("Ada Lovelace")}, To: client.Party{Handle: pointerTo("bob"), Name: pointerTo("Bob Moore")},
			Memo: pointerTo(fmt.Sprintf("invoice %d", i))}
		switch t.Kind {
		case client.TransferKindDeposit:
			t.Direction, t.From, t.To = client.In, client.Party{Bank: pointerTo(true)}, t.From
		case client.TransferKindWithdrawal:
			t.To = client.Party{Bank: pointerTo(true)}
		}
		if t.State == client.Refused {
			t.Reason = pointerTo("insufficient_funds")
		}
		if t.State != client.Pending {
			t.ResolvedAt = pointerTo(t.CreatedAt.Add(40 * time.Millisecond))
		}
		list.Items = append(list.Items, t)
	}
	return list
}

// heldFor returns an amount that another user authorized.
func heldFor(handle, sender string) client.Transfer {
	t := adasTransfers(1).Items[0]
	t.Id[0] = 0xF0
	t.Kind, t.State, t.Direction, t.ResolvedAt = client.TransferKindAuthorization, client.Pending, client.In, nil
	t.From, t.To = client.Party{Handle: pointerTo("bob"), Name: &sender}, client.Party{Handle: &handle}
	t.Amount, t.AuthorizedAmount, t.ExpiresAt = 20_00, pointerTo[int64](20_00), pointerTo(noon.AddDate(0, 0, 7))
	t.Memo = pointerTo("hotel")
	return t
}

func timelineOf(t client.Transfer) client.Timeline {
	return client.Timeline{Transfer: t, WaitsFor: "nothing", Next: "nothing: it has ended", Entries: []client.TimelineEntry{
		{At: t.CreatedAt, Text: "accepted as a transfer of 12.34 USD, under the key 0193a000-0000-7000-8000-00000000c0de"},
		{At: t.CreatedAt.Add(3 * time.Millisecond), Text: "posted: 12.34 USD left account 7 (its line 3)"},
		{At: t.CreatedAt.Add(3 * time.Millisecond), Text: "posted: 12.34 USD reached account 9 (its line 12)"},
	}}
}

// keys presses keys one after the other; a text of several letters is typed.
func keys(names ...string) []tea.Msg {
	var pressed []tea.Msg
	for _, name := range names {
		pressed = append(pressed, keyMsg(name))
	}
	return pressed
}

func previewFor(name string) client.TransferPreview {
	return client.TransferPreview{Amount: 12_34, Currency: "USD", Fee: 0, BalanceAfter: 1222_22, AvailableAfter: 1222_22,
		From: client.Party{Handle: pointerTo("ada")}, To: client.Party{Handle: pointerTo("bob"), Name: &name}}
}

// screens are the messages and keys that lead to each golden. The argument is the name of another
// user.
func screens(name string) map[string][]tea.Msg {
	first := adasTransfers(1).Items[0]
	first.To.Name = &name
	form := slices.Concat(keys("3", "enter", "@", "b", "o", "b", "enter", "1", "2", ".", "3", "4", "enter", "l", "u", "n", "c", "h"))
	review := slices.Concat(form, keys("enter"), []tea.Msg{previewMsg{asked: 1, preview: previewFor(name)}})
	sent := sentMsg{key: someKey}
	arrived, doubtful := sent, sent
	arrived.receipt.Transfer = first
	doubtful.err = &client.UnknownOutcomeError{Key: sent.key, Err: errors.New(name + " took too long")}
	hold := client.Event{Type: client.EventTransfer, Transfer: pointerTo(heldFor("ada", name))}
	captures := slices.Concat([]tea.Msg{eventsMsg{[]client.Event{hold}}}, keys("2", "C"))
	captured := sent
	captured.receipt.Transfer = *hold.Transfer
	captured.receipt.Transfer.State, captured.receipt.Transfer.Amount = client.Posted, 5_00
	return map[string][]tea.Msg{
		"capture":          captures,
		"capture-review":   slices.Concat(captures, keys("5", "enter")),
		"capture-unknown":  slices.Concat(captures, keys("5", "enter", "y"), []tea.Msg{doubtful}),
		"capture-done":     slices.Concat(captures, keys("5", "enter", "y"), []tea.Msg{captured}),
		"void-refused":     slices.Concat(captures, keys("esc", "V", "y"), []tea.Msg{sentMsg{key: someKey, err: &client.Error{Status: 422, Code: client.TransferNotPending, Detail: name + " is not pending"}}}),
		"deposit":          keys("1", "D", "1", "2", "enter"),
		"transfers":        slices.Concat(keys("2"), []tea.Msg{timelineMsg{id: first.Id, timeline: timelineOf(first)}}),
		"transfers-filter": keys("2", "/", "s", "t", "a", "t", "e", ":", "p", "a", "s", "t"),
		"transfers-read":   slices.Concat(keys("2", "enter"), []tea.Msg{timelineMsg{id: first.Id, timeline: timelineOf(first)}}),
		"send":             slices.Concat(keys("3", "enter", "b", "o"), []tea.Msg{peopleMsg{prefix: "bo", people: []client.Person{{Handle: "bob", Name: name}, {Handle: "bodil", Name: "Bodil Lind"}}}}),
		"send-refused":     slices.Concat(form, keys("enter"), []tea.Msg{previewMsg{asked: 1, err: &client.Error{Status: 422, Code: client.PayeeWalletMissing, Detail: "@bob (" + name + ") has no wallet in USD"}}}),
		"send-review":      review,
		"send-unknown":     slices.Concat(review, keys("y"), []tea.Msg{doubtful}),
		"send-done":        slices.Concat(review, keys("y"), []tea.Msg{arrived}),
		"login":            slices.Concat([]tea.Msg{loggedOutMsg{client.ErrNotLoggedIn}}, keys("a", "d", "a", "enter", "s", "e", "c")),
	}
}

func TestScreens(t *testing.T) {
	for name, messages := range screens("Bob Moore") {
		for _, size := range sizes {
			name := fmt.Sprintf("%s-%dx%d", name, size[0], size[1])
			t.Run(name, func(t *testing.T) {
				golden(t, name, played(t, size, messages).View())
			})
		}
	}
}

// played runs the program until it has handled the messages.
func played(t *testing.T, size [2]int, messages []tea.Msg) *model {
	t.Helper()
	program := teatest.NewTestModel(t, dashboard(t), teatest.WithInitialTermSize(size[0], size[1]))
	for _, msg := range slices.Concat(afterOpening(), messages) {
		program.Send(msg)
	}
	testkit.Must(t, program.Quit())
	return program.FinalModel(t, teatest.WithFinalTimeout(30*time.Second)).(*model)
}

// TestMemoStaysInItsCell: whatever a memo contains, the rest of the screen is the same.
func TestMemoStaysInItsCell(t *testing.T) {
	for _, evil := range []string{"\x1b[2J\x1b[31mred", "\x1b]52;c;ZXZpbA==\x07", "\x1b]0;title\x1b\\", "\u202egnp.exe", "a\u200b\u200d\ufeffb", "\x9b2J\r\n\b\b", "👨\u200d👩\u200d👧", "z\u0300\u0301\u0302\u0303\u0304\u0305\u0306"} {
		for _, page := range []string{"1", "2"} {
			plain, hostile := adasTransfers(20), adasTransfers(20)
			plain.Items[3].Memo, hostile.Items[3].Memo = pointerTo("MEMO"), &evil
			var shown [2][]string
			for i, list := range []client.TransferList{plain, hostile} {
				m := dashboard(t)
				m.Update(tea.WindowSizeMsg{Width: 100, Height: 30})
				for _, msg := range slices.Concat([]tea.Msg{meMsg{ada()}, connectionStateMsg{state: live}, summaryMsg{summary: adasSummary("x")}, pageMsg{found: list}}, keys(page)) {
					m.Update(msg)
				}
				shown[i] = strings.Split(m.View(), "\n")
			}
			different := 0
			for i := range shown[0] {
				if shown[0][i] == shown[1][i] {
					continue
				}
				different++
				at := strings.Index(shown[0][i], "MEMO")
				if at < 0 || !strings.HasPrefix(shown[1][i], shown[0][i][:at]) {
					t.Errorf("%q changes\n%s\ninto\n%s", evil, shown[0][i], shown[1][i])
				}
			}
			if different != 1 {
				t.Errorf("%q changes %d lines of page %s, not its own alone", evil, different, page)
			}
		}
	}
}
