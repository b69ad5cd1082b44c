package main

import (
	"context"
	"strings"

	"github.com/spf13/cobra"

	"github.com/JDevAman/kizo/client"
)

func newSessionsCommand(a *app) *cobra.Command {
	return newGroup("sessions", "Where you are logged in", newSessionsListCommand(a), newSessionsHistoryCommand(a), newSessionsRevokeCommand(a))
}

type sessionsListOptions struct {
	app    *app
	output outputFlags
}

func newSessionsListCommand(a *app) *cobra.Command {
	opts := &sessionsListOptions{app: a}
	cmd := &cobra.Command{
		Use:     "list",
		Short:   "List your sessions",
		Long:    "List your sessions. LAST USED of the others is at most 15 minutes too early: it is when the session was last renewed.",
		Example: `  kizo sessions list`,
		Args:    takes(""),
		RunE:    func(cmd *cobra.Command, _ []string) error { return sessionsListRun(cmd.Context(), opts) },
	}
	opts.output.addTo(cmd, a, client.Session{}, sessionColumns...)
	opts.output.addWatch(cmd)
	return cmd
}

var sessionColumns = []column{{title: "ID", id: true}, {title: "THIS ONE"}, {title: "BEGAN", drop: 2}, {title: "LAST USED"}, {title: "EXPIRES", drop: 3}, {title: "ADDRESS", drop: 1}, {title: "CLIENT", cut: true, drop: 1, free: true}}

func sessionsListRun(ctx context.Context, opts *sessionsListOptions) error {
	a := opts.app
	kizo, err := a.kizo()
	if err != nil {
		return err
	}
	sessions, err := kizo.Sessions(ctx)
	if err != nil {
		return err
	}
	a.learn(func(k *knowledge) { k.setSessions(sessions) })
	var rows [][]string
	for _, s := range sessions {
		current := "no"
		if s.Current {
			current = "yes"
		}
		rows = append(rows, []string{s.Id.String(), current, a.when(s.CreatedAt), a.when(s.LastUsedAt), a.when(s.ExpiresAt), text(s.Address), text(s.Client)})
	}
	return a.printList(opts.output, sessions, sessionColumns, rows)
}

type sessionsHistoryOptions struct {
	app    *app
	output outputFlags
	limit  int32
}

func newSessionsHistoryCommand(a *app) *cobra.Command {
	opts := &sessionsHistoryOptions{app: a}
	cmd := &cobra.Command{
		Use:   "history",
		Short: "List your log-ins, including failed ones, and other security events",
		Example: `  kizo sessions history
  kizo sessions history --limit 5 --json`,
		Args: takes(""),
		RunE: func(cmd *cobra.Command, _ []string) error { return sessionsHistoryRun(cmd.Context(), opts) },
	}
	opts.output.addTo(cmd, a, client.SecurityEvent{}, securityEventColumns...)
	opts.output.addWatch(cmd)
	cmd.Flags().Int32VarP(&opts.limit, "limit", "n", 20, "maximum number, up to 100")
	return cmd
}

var securityEventColumns = []column{{title: "WHEN"}, {title: "EVENT"}, {title: "ADDRESS"}, {title: "SESSION", drop: 2}, {title: "DETAIL", cut: true, drop: 1, free: true}, {title: "CLIENT", cut: true, drop: 1, free: true}}

func sessionsHistoryRun(ctx context.Context, opts *sessionsHistoryOptions) error {
	a := opts.app
	kizo, err := a.kizo()
	if err != nil {
		return err
	}
	events, err := kizo.SecurityEvents(ctx, opts.limit)
	if err != nil {
		return err
	}
	var rows [][]string
	for _, e := range events {
		session := ""
		if e.SessionId != nil {
			session = e.SessionId.String()
		}
		rows = append(rows, []string{a.when(e.At), strings.ReplaceAll(e.Event, "_", " "), text(e.Address), session, text(e.Detail), text(e.Client)})
	}
	return a.printList(opts.output, events, securityEventColumns, rows)
}
