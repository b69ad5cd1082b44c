package main

import (
	"context"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"

	"github.com/JDevAman/kizo/client"
	"github.com/JDevAman/kizo/internal/printable"
)

type listenOptions struct {
	events                            eventsOptions
	forwardTo, secretFile, cursorPath string
	timeout                           time.Duration
	maxAttempts                       int
	printSecret                       bool
}

func newListenCommand(a *app) *cobra.Command {
	opts := &listenOptions{events: eventsOptions{app: a}}
	cmd := &cobra.Command{
		Use:   "listen --forward-to URL",
		Short: "Post the events of your transfers to a URL",
		Long: `Post each event of your transfers to a URL as a signed webhook, until Ctrl-C: one after the other, in order.

An event is delivered at least once. kizo moves its cursor, a file, after the receiver has answered with 2xx;
if kizo is killed in between, it sends that event again. The receiver recognizes it by the same webhook-id.
While the receiver fails, kizo repeats the event, after 1 s at first and 1 min at most, or later if the
receiver says so with Retry-After; the following events wait. It gives up after --max-attempts, or
after the answer 410 Gone, with exit code 1. The next start continues there. Nothing is lost meanwhile: the
server keeps all events.

The signature is that of the Standard Webhooks specification: webhook-id, webhook-timestamp and webhook-signature,
"v1," and the base64 of the HMAC-SHA256 of "id.timestamp.body". The secret is in a file that kizo creates and
that only you can read, or in ` + secretVariable + `; the file may have two secrets, one on each line, while the
receiver changes. The body is {"type": "transfer.posted", "timestamp": ..., "data": {...}}, with the object that
kizo events --json prints. Redirects are not followed, and plain http goes to this computer only, unless
--insecure-http allows it.

stdout gets each event after it was accepted, as kizo events prints it.`,
		Example: `  kizo listen --forward-to http://localhost:4242/webhook
  kizo listen --forward-to https://shop.example/hooks/kizo --since 24h
  kizo listen --forward-to https://shop.example/hooks/kizo --print-secret`,
		Args: takes(""),
		RunE: func(cmd *cobra.Command, _ []string) error { return listenRun(cmd.Context(), opts) },
	}
	opts.events.output.addTo(cmd, a, eventLine{}, eventColumns...)
	opts.events.addRange(cmd)
	flags := cmd.Flags()
	flags.StringVar(&opts.forwardTo, "forward-to", "", "the URL of the receiver")
	flags.StringVar(&opts.secretFile, "secret-file", "", "file of the secret; created if it is missing")
	flags.StringVar(&opts.cursorPath, "cursor", "", "file of the cursor; by default one for each server, user and URL")
	flags.DurationVar(&opts.timeout, "timeout", 15*time.Second, "maximum time of an attempt")
	flags.IntVar(&opts.maxAttempts, "max-attempts", 0, "stop if an event was not accepted at this many attempts; 0 means no limit")
	flags.BoolVar(&opts.printSecret, "print-secret", false, "print the secret, and exit")
	return cmd
}

func listenRun(ctx context.Context, opts *listenOptions) error {
	a := opts.events.app
	switch {
	case opts.forwardTo == "":
		return withHint(usagef("kizo listen needs --forward-to"), "kizo listen --forward-to http://localhost:4242/webhook")
	case opts.maxAttempts < 0:
		return usagef("--max-attempts %d: use 1 or more, or 0 for no limit", opts.maxAttempts)
	case opts.timeout <= 0:
		return usagef("--timeout %s: it must be more than 0", opts.timeout)
	}
	if err := opts.events.check(); err != nil {
		return err
	}
	to, err := a.webhookURL(opts.forwardTo)
	if err != nil {
		return err
	}
	w := &webhook{app: a, url: to.String(), maxAttempts: opts.maxAttempts, sleep: sleep}
	if w.http, err = a.webhookClient(opts.timeout); err != nil {
		return err
	}
	printer := &follower{opts: &opts.events}
	d := &delivery{
		opts: &opts.events, target: to.String(), shown: to.Hostname(), path: opts.cursorPath, send: w.send,
		accepted: func(e client.Event) error {
			err := printer.print(e)
			printer.printed++
			return err
		},
	}
	d.begin = func(dir, name string) error {
		path := opts.secretFile
		if path == "" {
			path = filepath.Join(dir, name+".secret")
		}
		secrets, origin, err := a.webhookSecrets(path)
		if err != nil {
			return err
		}
		w.secrets = secrets
		if opts.printSecret {
			if err := a.write(formatSecret(w.secrets[0]) + "\n"); err != nil {
				return err
			}
			return errFollowed
		}
		a.io.note("Posting to %s, signed with the secret in %s.", printable.Text(to.Host), printable.Text(origin))
		return nil
	}
	return d.run(ctx)
}
