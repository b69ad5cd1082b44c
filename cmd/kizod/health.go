package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"time"

	"github.com/spf13/cobra"

	"github.com/JDevAman/kizo/internal/printable"
)

// healthCommand asks a running kizod whether it is ready, for the health checks of an image that
// has no other program.
func healthCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "health [URL]",
		Short: "Ask a running kizod whether it is ready",
		Long: `Ask a running kizod whether it is ready: send GET to /readyz of --ops-listen, or to another
URL, such as http://127.0.0.1:7422/healthz of a mock bank. The exit code is 0 if the answer
is 200, and 1 otherwise, with what is missing on stderr.`,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) > 1 {
				return usageError{fmt.Errorf("unexpected argument %q", args[1])}
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			read, err := readSettings(cmd, opsListen)
			if err != nil {
				return err
			}
			url := readyURL(read.get(opsListen))
			if len(args) > 0 {
				url = args[0]
				if err := checkURL(url); err != nil {
					return usageError{fmt.Errorf("%q %w", url, err)}
				}
			}
			if err := checkHealth(cmd.Context(), url); err != nil {
				return err
			}
			_, err = fmt.Fprintln(cmd.OutOrStdout(), "ready")
			return err
		},
	}
	addSettings(cmd, opsListen)
	return cmd
}

// readyURL returns the URL of /readyz at an address that kizod listens on.
func readyURL(listens string) string {
	host, port, _ := net.SplitHostPort(listens) // checked
	if ip := net.ParseIP(host); host == "" || ip != nil && ip.IsUnspecified() {
		host = "127.0.0.1"
	}
	return "http://" + net.JoinHostPort(host, port) + "/readyz"
}

func checkHealth(ctx context.Context, url string) error {
	ctx, cancel := context.WithTimeout(ctx, 4*time.Second)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, http.NoBody)
	if err != nil {
		return err
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	if response.StatusCode == http.StatusOK {
		return nil
	}
	var answer struct{ Status, Reason string }
	if err := json.NewDecoder(io.LimitReader(response.Body, 64<<10)).Decode(&answer); err != nil || answer.Status == "" {
		return fmt.Errorf("%s answers with %d", url, response.StatusCode)
	}
	if answer.Reason != "" {
		answer.Status += ": " + answer.Reason
	}
	return fmt.Errorf("not ready: %s", printable.Text(answer.Status))
}
