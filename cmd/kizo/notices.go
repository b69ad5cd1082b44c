package main

import (
	"context"
	"fmt"
	"strconv"

	"github.com/spf13/cobra"

	"github.com/JDevAman/kizo/client"
)

type noticesOptions struct {
	app             *app
	output          outputFlags
	limit           int
	unread, readAll bool
}

const noticesHelp = `What happened to your account that you should know: sign-ins of new devices, changes of passwords, codes,
keys and limits, blocked log-ins, what operators did, first payments to a payee and large ones.

  kizo notices --unread       those that you have not read
  kizo notices read 17        one of them, with what to do if it was not you
  kizo notices --read-all     list those that you have not read, and mark them as read

If another person uses your account: kizo freeze-me --yes stops all money at once.

Notices are also mailed, if your e-mail address is verified: kizo email verify. The newest 250 about the account and 250
about payments are kept, for 180 days.`

func newNoticesCommand(a *app) *cobra.Command {
	opts := &noticesOptions{app: a}
	cmd := &cobra.Command{
		Use:   "notices",
		Short: "List what happened to your account that you should know",
		Long:  noticesHelp,
		Example: `  kizo notices
  kizo notices --unread --json=kind,at,address
  kizo notices --read-all`,
		Args: noSuchCommand,
		RunE: func(cmd *cobra.Command, _ []string) error { return noticesRun(cmd.Context(), opts) },
	}
	opts.output.addTo(cmd, a, client.Notice{}, noticeColumns...)
	opts.output.addWatch(cmd)
	flags := cmd.Flags()
	flags.IntVarP(&opts.limit, "limit", "n", 20, "maximum number")
	flags.BoolVar(&opts.unread, "unread", false, "only those that are not read")
	flags.BoolVar(&opts.readAll, "read-all", false, "list all that are not read, and mark them as read")
	cmd.MarkFlagsMutuallyExclusive("read-all", "limit")
	cmd.MarkFlagsMutuallyExclusive("read-all", "watch")
	cmd.AddCommand(newNoticesReadCommand(a))
	return cmd
}

var noticeColumns = []column{
	{title: "ID", id: true, right: true}, {title: "WHEN"}, {title: "READ"}, {title: "WHAT"}, {title: "DETAIL", cut: true, drop: 1, free: true, sparse: true},
	{title: "ADDRESS", drop: 2, sparse: true}, {title: "CLIENT", cut: true, drop: 3, free: true, sparse: true}, {title: "ADVICE", cut: true, drop: 4},
}

func (a *app) noticeRow(n client.Notice) []string {
	read := "no"
	if n.Read {
		read = "yes"
	}
	return []string{strconv.FormatInt(n.Id, 10), a.when(n.At), read, n.Title, text(n.Detail), text(n.Address), text(n.Client), n.Advice}
}

func noticesRun(ctx context.Context, opts *noticesOptions) error {
	a := opts.app
	if opts.limit < 1 {
		return usagef("--limit %d: use at least 1", opts.limit)
	}
	kizo, err := a.kizo()
	if err != nil {
		return err
	}
	limit := opts.limit
	if opts.readAll {
		limit, opts.unread = maxNotices, true
	}
	found, unread, err := collectNotices(ctx, kizo, opts.unread, limit)
	if err != nil {
		return err
	}
	var rows [][]string
	for _, n := range found {
		rows = append(rows, a.noticeRow(n))
	}
	if err := a.printList(opts.output, found, noticeColumns, rows); err != nil {
		return err
	}
	switch {
	case opts.readAll:
		return readNotices(ctx, kizo, found)
	case unread > 0 && a.io.OutTerminal:
		a.io.note("%d not read. What to do about one: kizo notices read ID", unread)
	}
	return nil
}

// maxNotices is above the number that the server keeps.
const maxNotices = 1000

// collectNotices reads pages until there are limit notices.
func collectNotices(ctx context.Context, kizo *client.Client, onlyUnread bool, limit int) (found []client.Notice, unread int, err error) {
	found = []client.Notice{}
	params := client.ListNoticesParams{Unread: &onlyUnread}
	for len(found) < limit {
		size := int32(min(limit-len(found), pageSize))
		params.Limit = &size
		page, err := kizo.Notices(ctx, params)
		if err != nil {
			return nil, 0, err
		}
		found, unread = append(found, page.Items...), page.Unread
		if page.NextCursor == nil {
			break
		}
		params.Cursor = page.NextCursor
	}
	return found, unread, nil
}

// readNotices marks notices as read: those that were listed, and none that came meanwhile.
func readNotices(ctx context.Context, kizo *client.Client, listed []client.Notice) error {
	for len(listed) > 0 {
		n := min(len(listed), pageSize)
		ids := make([]int64, n)
		for i := range ids {
			ids[i] = listed[i].Id
		}
		if _, err := kizo.ReadNotices(ctx, ids); err != nil {
			return err
		}
		listed = listed[n:]
	}
	return nil
}

func newNoticesReadCommand(a *app) *cobra.Command {
	var output outputFlags
	cmd := &cobra.Command{
		Use:     "read ID",
		Short:   "Show a notice, with what to do if it was not you, and mark it as read",
		Example: "  kizo notices read 17",
		Args:    takes("ID"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return noticesReadRun(cmd.Context(), a, output, args[0])
		},
	}
	output.addTo(cmd, a, client.Notice{}, noticeColumns...)
	return cmd
}

func noticesReadRun(ctx context.Context, a *app, output outputFlags, id string) error {
	number, err := strconv.ParseInt(id, 10, 64)
	if err != nil {
		return withHint(usagef("%q is not the number of a notice", id), "kizo notices")
	}
	kizo, err := a.kizo()
	if err != nil {
		return err
	}
	all, _, err := collectNotices(ctx, kizo, false, maxNotices)
	if err != nil {
		return err
	}
	for _, n := range all {
		if n.Id != number {
			continue
		}
		n.Read = true
		if err := a.printOne(output, n, noticeColumns, a.noticeRow(n)); err != nil {
			return err
		}
		return readNotices(ctx, kizo, []client.Notice{n})
	}
	return withHint(&exitError{exit: exitNotFound, code: "notice_not_found", err: fmt.Errorf("you have no notice %d", number)}, "kizo notices")
}
