package tui

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	tea "github.com/charmbracelet/bubbletea"
	"github.com/charmbracelet/x/ansi"

	"github.com/JDevAman/kizo/client"
	"github.com/JDevAman/kizo/money"
)

const (
	largestAmount  = money.Max // of a transfer
	largestBalance = 1<<53 - 1 // that JSON holds exactly
	largeHandle    = "bobthehotel"
)

// whole returns the texts of a screen that must never be shortened.
type whole struct{ texts []string }

func (w *whole) amount(minor int64, currency string) int64 {
	w.texts = append(w.texts, amountOf(minor, currency), "+"+amountOf(minor, currency), "-"+amountOf(minor, currency))
	return minor
}

// cut returns the texts that a line shows in part, with an ellipsis for the rest.
func (w *whole) cut(line string) (found []string) {
	line = ansi.Strip(line)
	for {
		before, after, more := strings.Cut(line, "…")
		if !more {
			return found
		}
		for _, text := range w.texts {
			least := 1
			if !strings.ContainsAny(text, "0123456789") {
				least = 4 // otherwise the first letters of another word look like a state
			}
			for n := len(text) - 1; n >= least; n-- {
				part, isWord := strings.CutSuffix(before, text[:n])
				if isWord && (part == "" || strings.ContainsAny(part[len(part)-1:], " [|(")) {
					found = append(found, text)
					break
				}
			}
		}
		line = after
	}
}

// wealthySummary has the largest possible balances.
func (w *whole) wealthySummary() client.Summary {
	s := adasSummary("lunch with everybody")
	for i := range s.Wallets {
		wallet := &s.Wallets[i].Wallet
		wallet.Currency = []string{"USD", "CLF", "JPY"}[i]
		wallet.Balance, wallet.Available = w.amount(largestBalance, wallet.Currency), w.amount(largestBalance-largestAmount, wallet.Currency)
		wallet.Held = w.amount(largestAmount, wallet.Currency)
		in, out := w.amount(largestBalance-1, wallet.Currency), w.amount(largestBalance-2, wallet.Currency)
		s.Wallets[i].Month.In, s.Wallets[i].Month.Out = &in, &out
		w.texts = append(w.texts, wallet.Id.String())
		if i == 1 {
			wallet.Status = client.Frozen
		}
	}
	s.Recent = w.wealthyTransfers(5).Items
	return s
}

func (w *whole) wealthyTransfers(n int) client.TransferList {
	list := adasTransfers(n)
	for i := range list.Items {
		t := &list.Items[i]
		t.Amount, t.Memo = w.amount(largestAmount-int64(i), t.Currency), pointerTo("a note of no importance")
		t.To.Handle = pointerTo(largeHandle)
		if i%4 == 0 {
			t.Kind, t.Amount = client.TransferKindAuthorization, w.amount(largestAmount/2, t.Currency)
			t.AuthorizedAmount = pointerTo(w.amount(largestAmount, t.Currency))
			t.ReversedAmount = pointerTo(w.amount(largestAmount/4, t.Currency))
		}
		w.texts = append(w.texts, t.Id.String())
	}
	return list
}

// sequences are the screens that show money, by name.
func (w *whole) sequences() map[string][]tea.Msg {
	chosen := w.wealthyTransfers(1).Items[0]
	timeline := timelineOf(chosen)
	preview := client.TransferPreview{Amount: w.amount(largestAmount, "USD"), Currency: "USD", BalanceAfter: w.amount(largestBalance-3, "USD"),
		AvailableAfter: w.amount(largestBalance-4, "USD"), From: client.Party{Handle: pointerTo("ada")}, To: client.Party{Handle: pointerTo(largeHandle)}}
	form := slices.Concat(keys("3", "enter", "@", largeHandle, "enter", "10000000000000.00", "enter", "rent"))
	review := slices.Concat(form, keys("enter"), []tea.Msg{previewMsg{asked: 1, preview: preview}})
	done := sentMsg{key: someKey}
	done.receipt.Transfer = chosen
	doubtful := sentMsg{key: someKey, err: &client.UnknownOutcomeError{Key: someKey, Err: fmt.Errorf("it took too long")}}
	held := heldFor("ada", "Bob")
	held.Amount = w.amount(largestAmount, "USD")
	w.amount(largestAmount-1, "USD")
	w.texts = append(w.texts, held.Id.String())
	capture := slices.Concat([]tea.Msg{eventsMsg{[]client.Event{{Type: client.EventTransfer, Transfer: &held}}}}, keys("2", "C"))
	part := slices.Concat(capture, keys("0", ".", "0", "1", "enter"))
	w.texts = append(w.texts, someKey, "posted", "pending", "refused", "voided", "active", "frozen")
	return map[string][]tea.Msg{
		"capture":         capture,
		"capture-all":     slices.Concat(capture, keys("enter")),
		"capture-part":    part,
		"capture-unknown": slices.Concat(part, keys("y"), []tea.Msg{doubtful}),
		"withdraw":        keys("1", "W", "1", "enter"),
		"wallet":          keys("1"),
		"second wallet":   keys("1", "j"),
		"transfers":       slices.Concat(keys("2"), []tea.Msg{timelineMsg{id: chosen.Id, timeline: timeline}}),
		"transfers-read":  slices.Concat(keys("2", "enter"), []tea.Msg{timelineMsg{id: chosen.Id, timeline: timeline}}),
		"send":            form,
		"send-review":     review,
		"send-unknown":    slices.Concat(review, keys("y"), []tea.Msg{doubtful}),
		"send-done":       slices.Concat(review, keys("y"), []tea.Msg{done}),
	}
}

func TestAmountsIdsAndStatesAreNeverShortened(t *testing.T) {
	var w whole
	opening := []tea.Msg{meMsg{ada()}, connectionStateMsg{state: live}, summaryMsg{summary: w.wealthySummary()},
		pageMsg{pageAsk: pageAsk{}, found: w.wealthyTransfers(60)}}
	for name, messages := range w.sequences() {
		for _, size := range [][2]int{{minWidth, minHeight}, {61, 20}, {80, 24}, {100, 30}, {119, 30}, {120, 40}, {150, 40}, {199, 50}, {200, 50}, {240, 60}} {
			m := dashboard(t)
			m.Update(tea.WindowSizeMsg{Width: size[0], Height: size[1]})
			for _, msg := range slices.Concat(opening, messages) {
				m.Update(msg)
			}
			w.check(t, fmt.Sprintf("%s at %dx%d", name, size[0], size[1]), m.View())
		}
	}
}

// check reports the texts that a screen shortens.
func (w *whole) check(t *testing.T, name, view string) {
	t.Helper()
	for line := range strings.SplitSeq(view, "\n") {
		if cut := w.cut(line); len(cut) > 0 {
			t.Errorf("%s: %q is cut in\n%s", name, cut[0], ansi.Strip(line))
		}
	}
}

func TestQueuesShowAmountsAndIdsWhole(t *testing.T) {
	var w whole
	for width := minWidth; width <= 240; width += 5 {
		m, s := operatorModel(t), newQueuesScreen()
		minuteOfOperations(&m.ops)
		s.tab = review
		payment := client.Payment{TransferId: *taskNumber(1).TransferId, Direction: client.PaymentWithdrawal, Amount: w.amount(largestAmount, "USD"),
			Currency: "USD", State: client.PaymentNeedsReview, Attempts: 12, CreatedAt: noon.Add(-time.Hour), LastError: ptr("executed after rejected")}
		w.texts = append(w.texts, payment.TransferId.String(), "running", "paused")
		s.update(m, taskListMsg{key: s.key(m), list: taskList{key: s.key(m), payments: []client.Payment{payment}}})
		view := s.view(m, width, 24)
		w.check(t, fmt.Sprintf("review at %d", width), view)
		roomy := width > minWidth+5 // the narrowest screen cannot show an id and the largest amount in one row
		if roomy && !strings.Contains(ansi.Strip(view), amountOf(largestAmount, "USD")) || !strings.Contains(ansi.Strip(view), payment.TransferId.String()) {
			t.Errorf("at %d columns, id or amount are missing:\n%s", width, view)
		}
		press(m, s, "e")
		w.check(t, fmt.Sprintf("decision at %d", width), m.overlay.view(m, width, 24))
		if !strings.Contains(m.overlay.view(m, width, 24), "--reason …") {
			t.Errorf("at %d columns, the command is cut", width)
		}
	}
}
