package tui

import (
	"context"
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	tea "github.com/charmbracelet/bubbletea"

	"github.com/JDevAman/kizo/client"
	"github.com/JDevAman/kizo/internal/printable"
	"github.com/JDevAman/kizo/money"
)

const (
	// exportLimit is the maximum number of transfers in a file; kizo transfers list --all has none.
	exportLimit = 50_000
	// exportTimeout limits the time for writing a file.
	exportTimeout = 2 * time.Minute
)

// exportedMsg reports the result of an export.
type exportedMsg struct {
	path  string
	count int
	more  bool // there were more than exportLimit
	err   error
}

// export writes the transfers that match the filter to a new file in exportDir that only the user
// can read.
func (s *transfersScreen) export(m *shared, format string) tea.Cmd {
	if s.exporting {
		m.showToast("An export is already being written.")
		return nil
	}
	s.exporting = true
	server, params := m.server, s.filter.params
	path := filepath.Join(m.exportDir, "kizo-transfers-"+m.now.Format("20060102-150405")+"."+format)
	m.showToast("Writing " + path)
	return func() tea.Msg {
		ctx, cancel := context.WithTimeout(context.Background(), exportTimeout)
		defer cancel()
		count, more, err := exportTo(ctx, server, params, path, format)
		return exportedMsg{path, count, more, err}
	}
}

// transferLister is the part of the server that an export needs.
type transferLister interface {
	Transfers(ctx context.Context, params client.ListTransfersParams) (client.TransferList, error)
}

// exportTo never overwrites a file and never leaves an incomplete one behind.
func exportTo(ctx context.Context, server transferLister, params client.ListTransfersParams, path, format string) (count int, more bool, err error) {
	file, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return 0, false, err
	}
	count, more, err = exportPages(ctx, server, params, writerOf(file, format))
	if err = errors.Join(err, file.Close()); err != nil {
		err = errors.Join(err, os.Remove(path))
	}
	return count, more, err
}

func exportPages(ctx context.Context, server transferLister, params client.ListTransfersParams, out transferWriter) (count int, more bool, err error) {
	params.Limit = pointerTo[int32](transferPageSize)
	for {
		page, err := server.Transfers(ctx, params)
		if err != nil {
			return count, false, err
		}
		for _, t := range page.Items {
			if count == exportLimit {
				return count, true, out.end()
			}
			if err := out.write(t); err != nil {
				return count, false, err
			}
			count++
		}
		if page.NextCursor == nil || *page.NextCursor == "" {
			return count, false, out.end()
		}
		params.Cursor = page.NextCursor
	}
}

// transferWriter writes transfers in one format.
type transferWriter interface {
	write(t client.Transfer) error
	end() error
}

func writerOf(out io.Writer, format string) transferWriter {
	if format == "jsonl" {
		return jsonLines{json.NewEncoder(out)}
	}
	return &sheet{csv: csv.NewWriter(out)}
}

// jsonLines writes the API's own objects.
type jsonLines struct{ *json.Encoder }

func (w jsonLines) write(t client.Transfer) error { return w.Encode(t) }
func (w jsonLines) end() error                    { return nil }

// sheet writes CSV (RFC 4180) for spreadsheets.
type sheet struct {
	csv    *csv.Writer
	titled bool
}

func (w *sheet) write(t client.Transfer) error {
	if !w.titled {
		if err := w.title(); err != nil {
			return err
		}
	}
	other := otherSide(t)
	with := value(other.Handle)
	if other.Bank != nil && *other.Bank {
		with = "bank"
	}
	return w.csv.Write([]string{
		t.Id.String(), t.CreatedAt.UTC().Format(time.RFC3339Nano), string(t.Kind), string(t.State), string(t.Direction),
		decimal(&t.Amount, t.Currency), t.Currency,
		printable.NotFormula(with), printable.NotFormula(value(other.Name)), printable.NotFormula(value(t.Memo)), printable.NotFormula(value(t.Reason)),
		decimal(t.AuthorizedAmount, t.Currency), decimal(t.ReversedAmount, t.Currency),
	})
}

func decimal(minor *int64, currency string) string {
	if minor == nil {
		return ""
	}
	return money.Amount{Minor: *minor, Currency: money.Currency(currency)}.Decimal()
}

func (w *sheet) title() error {
	w.titled = true
	return w.csv.Write(strings.Fields("id created_at kind state direction amount currency with name memo reason authorized reversed"))
}

func (w *sheet) end() error {
	if !w.titled {
		if err := w.title(); err != nil {
			return err
		}
	}
	w.csv.Flush()
	return w.csv.Error()
}

// message says what an export has written.
func (e exportedMsg) message() string {
	switch {
	case e.more:
		return fmt.Sprintf("Wrote the newest %d to %s; kizo transfers list --all has no limit", e.count, e.path)
	case e.count == 1:
		return "Wrote 1 transfer to " + e.path
	}
	return fmt.Sprintf("Wrote %d transfers to %s", e.count, e.path)
}
