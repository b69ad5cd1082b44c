package main

import (
	"context"

	"github.com/google/uuid"
	"github.com/spf13/cobra"

	"github.com/JDevAman/kizo/client"
)

type sessionsRevokeOptions struct {
	app         *app
	output      outputFlags
	id          string
	others, all bool
}

// revokedSession is the output of --json: the API's answer has no body.
type revokedSession struct {
	ID string `json:"id"`
}

var revokedSessionColumns = []column{{title: "ID", id: true}}

func newSessionsRevokeCommand(a *app) *cobra.Command {
	opts := &sessionsRevokeOptions{app: a}
	cmd := &cobra.Command{
		Use:   "revoke [ID]",
		Short: "End a session, all others, or all",
		Long: `End a session, or with --others all but this one, or with --all this one as well.

Its tokens stop working at once. API keys are not sessions: kizo keys revoke ends them.`,
		Example: `  kizo sessions revoke 0197a7c2-5f0e-7c3b-9d53-0b6f7f1a2c4d
  kizo sessions revoke --others`,
		Args: takes("[ID]"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) == 1 {
				opts.id = args[0]
			}
			return sessionsRevokeRun(cmd.Context(), opts)
		},
	}
	opts.output.addTo(cmd, a, revokedSession{}, revokedSessionColumns...)
	cmd.Flags().BoolVar(&opts.others, "others", false, "end all your sessions but this one")
	cmd.Flags().BoolVar(&opts.all, "all", false, "end all your sessions, and log out here")
	return cmd
}

func sessionsRevokeRun(ctx context.Context, opts *sessionsRevokeOptions) error {
	several := opts.others || opts.all
	if several == (opts.id != "") || opts.others && opts.all {
		return withHint(usagef("kizo sessions revoke needs one of the ID of a session, --others and --all"), "kizo sessions list")
	}
	if several {
		return sessionsRevokeSeveral(ctx, opts)
	}
	id, err := parseID(opts.id, "kizo sessions list")
	if err != nil {
		return err
	}
	kizo, err := opts.app.kizo()
	if err != nil {
		return err
	}
	if err := kizo.RevokeSession(ctx, id); err != nil {
		return err
	}
	return opts.app.printDone(opts.output, revokedSession{id.String()}, []string{id.String()}, func() {
		opts.app.io.note("Ended the session %s.", id)
	})
}

func sessionsRevokeSeveral(ctx context.Context, opts *sessionsRevokeOptions) error {
	kizo, err := opts.app.kizo()
	if err != nil {
		return err
	}
	ended, err := kizo.EndOtherSessions(ctx)
	if err != nil {
		return err
	}
	if opts.all {
		own, err := currentSession(ctx, kizo)
		if err != nil {
			return err
		}
		if err := kizo.LogOut(ctx); err != nil {
			return err
		}
		ended = append(ended, own)
	}
	items, rows := make([]revokedSession, len(ended)), make([][]string, len(ended))
	for i, id := range ended {
		items[i], rows[i] = revokedSession{id.String()}, []string{id.String()}
	}
	if opts.output.format() == "" {
		opts.app.io.note("Ended %s.", plural(len(ended), "session", "sessions"))
		return nil
	}
	return opts.app.printList(opts.output, items, revokedSessionColumns, rows)
}

func currentSession(ctx context.Context, kizo *client.Client) (uuid.UUID, error) {
	sessions, err := kizo.Sessions(ctx)
	for _, s := range sessions {
		if s.Current {
			return s.Id, nil
		}
	}
	return uuid.Nil, err
}
