package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"time"

	"github.com/spf13/cobra"

	"github.com/JDevAman/kizo/client"
	"github.com/JDevAman/kizo/internal/printable"
)

func newAccountCommand(a *app) *cobra.Command {
	return newGroup("account", "What is stored about you, and closing the account", newAccountExportCommand(a), newAccountCloseCommand(a))
}

func newAccountExportCommand(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "export",
		Short: "Write all that is stored about you, as one JSON document",
		Long: `Write all that the server stores about you on stdout, as one JSON document: your profile, the records of your
access (sessions, keys, devices, security events), wallets, limits, transfers, and every change of a transfer.
Passwords, codes, tokens and their hashes are left out. Amounts are in minor units.

It needs a code if you have a second factor, and you see it in kizo sessions history. The document contains
network addresses and payments: keep it where only you can read it. If kizo fails, it is not complete.

For your books alone, in the format of another program: kizo export.`,
		Example: `  kizo account export > account.json
  kizo account export --otp-stdin < code.txt > account.json`,
		Args: takes(""),
		RunE: func(cmd *cobra.Command, _ []string) error { return accountExportRun(cmd.Context(), a) },
	}
	a.addStepUpFlag(cmd)
	return cmd
}

func accountExportRun(ctx context.Context, a *app) error {
	kizo, err := a.kizo()
	if err != nil {
		return err
	}
	out := bufio.NewWriterSize(a.io.Out, 64<<10)
	export := &accountExport{app: a, kizo: kizo, out: out}
	if err := export.write(ctx); err != nil {
		return err
	}
	return unwritten(out.Flush())
}

// accountExport writes the document page by page: no more than a page is in memory.
type accountExport struct {
	app  *app
	kizo *client.Client
	out  io.Writer
}

// write writes the records first: they need the step-up and are what is recorded, so that a refused
// export has written nothing.
func (e *accountExport) write(ctx context.Context) error {
	records, err := e.kizo.Records(ctx, "")
	if err != nil {
		return err
	}
	if err := e.head(ctx); err != nil {
		return err
	}
	for _, list := range []struct {
		name  string
		items func(add func(any) error) error
	}{
		{"records", func(add func(any) error) error { return e.records(ctx, records, add) }},
		{"transfers", func(add func(any) error) error { return e.transfers(ctx, add) }},
		{"events", func(add func(any) error) error {
			return e.app.readHistory(ctx, e.kizo, firstEvent, func(event client.Event) error {
				return add(map[string]any{"id": event.ID, "at": event.At, "transfer": event.Transfer})
			})
		}},
	} {
		if err := e.list(list.name, list.items); err != nil {
			return err
		}
	}
	return e.text("\n}\n")
}

// head writes the parts that are small.
func (e *accountExport) head(ctx context.Context) error {
	wallets, err := e.kizo.Wallets(ctx)
	if err != nil {
		return err
	}
	limits, err := e.kizo.Limits(ctx)
	if err != nil {
		return err
	}
	separator := "{\n"
	for _, part := range []struct {
		name  string
		value any
	}{
		{"format", "kizo-account-1"},
		{"server", e.kizo.Server()},
		{"exported_at", e.app.now().UTC().Format(time.RFC3339)},
		{"wallets", wallets},
		{"limits", limits},
	} {
		if err := e.text(separator + `"` + part.name + `": `); err != nil {
			return err
		}
		if err := e.value(part.value); err != nil {
			return err
		}
		separator = ",\n"
	}
	return nil
}

// list writes a member of the document whose items come one by one.
func (e *accountExport) list(name string, items func(add func(any) error) error) error {
	if err := e.text(",\n\"" + name + "\": ["); err != nil {
		return err
	}
	separator := "\n"
	err := items(func(item any) error {
		if err := e.text(separator); err != nil {
			return err
		}
		separator = ",\n"
		return e.value(item)
	})
	if err != nil {
		return err
	}
	return e.text("\n]")
}

func (e *accountExport) records(ctx context.Context, page client.RecordList, add func(any) error) error {
	for {
		for _, record := range page.Items {
			if err := add(record); err != nil {
				return err
			}
		}
		cursor := page.NextCursor
		if cursor == "" {
			return nil
		}
		var err error
		if page, err = e.kizo.Records(ctx, cursor); err != nil {
			return err
		}
		if page.NextCursor != "" && page.NextCursor <= cursor {
			return errSamePage()
		}
	}
}

func (e *accountExport) transfers(ctx context.Context, add func(any) error) error {
	size := int32(pageSize)
	params := client.ListTransfersParams{Limit: &size}
	seen := map[string]bool{}
	for {
		page, err := e.kizo.Transfers(ctx, params)
		if err != nil {
			return err
		}
		for _, transfer := range page.Items {
			if err := add(transfer); err != nil {
				return err
			}
		}
		next := text(page.NextCursor)
		if next == "" {
			return nil
		}
		if seen[next] {
			return errSamePage()
		}
		seen[next] = true
		params.Cursor = &next
	}
}

func errSamePage() error { return errors.New("the server returns the same page again and again") }

// value writes a value as JSON in one line, safe for a terminal.
func (e *accountExport) value(value any) error {
	var line bytes.Buffer
	encoder := json.NewEncoder(&line)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(value); err != nil {
		return unwritten(err)
	}
	return e.text(string(printable.JSON(bytes.TrimSpace(line.Bytes()))))
}

func (e *accountExport) text(text string) error {
	_, err := io.WriteString(e.out, text)
	return unwritten(err)
}
