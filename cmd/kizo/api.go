package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/JDevAman/kizo/client"
)

type apiOptions struct {
	app    *app
	output outputFlags
	key    keyOptions
	input  string
}

// maxInput is the size of the largest request that the server takes, in bytes.
const maxInput = 256 << 10

var apiMethods = []string{http.MethodGet, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete}

func newAPICommand(a *app) *cobra.Command {
	opts := &apiOptions{app: a}
	cmd := &cobra.Command{
		Use:   "api METHOD PATH",
		Short: "Send a request to the API and print its answer",
		Long: `Send a request to any path of the API, as you, and print the JSON of its answer.

A POST gets a new idempotency key; stderr shows it, and so does an error. If the outcome is unknown (exit
code 7), send the same request with that key again. Unlike kizo transfer, kizo api does not record what it sends: kizo
pending does not list it.`,
		Example: `  kizo api GET /v1/wallets
  kizo api GET '/v1/transfers?state=pending' --jq '.items[].id'
  echo '{"to": "@bob", "amount": 1250, "currency": "USD"}' | kizo api POST /v1/transfers --input -`,
		Args: takes("METHOD PATH"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return apiRun(cmd, opts, strings.ToUpper(args[0]), args[1])
		},
	}
	opts.output.addTo(cmd, a, struct{}{})
	opts.key.addTo(cmd)
	cmd.Flags().StringVar(&opts.input, "input", "", "read the body from this file; - is stdin")
	return cmd
}

func apiRun(cmd *cobra.Command, opts *apiOptions, method, path string) error {
	a := opts.app
	if !slices.Contains(apiMethods, method) {
		return usagef("%q is not %s", method, joinOr(apiMethods))
	}
	if !strings.HasPrefix(path, "/v1/") {
		return usagef("%q is not a path of the API: it begins with /v1/", path)
	}
	body, err := opts.body()
	if err != nil {
		return err
	}
	request := client.Request{Method: method, Path: path, Body: body}
	if method == http.MethodPost || cmd.Flags().Changed("idempotency-key") {
		if request.Key, err = opts.key.use(cmd); err != nil {
			return err
		}
	}
	if method != http.MethodGet {
		if err := a.confirmMove(cmd.Context(), method+" "+path); err != nil {
			return err
		}
	}
	kizo, err := a.kizo()
	if err != nil {
		return err
	}
	if request.Key != "" && !a.json {
		a.io.note("idempotency key: %s", request.Key)
	}
	answer, err := kizo.Do(cmd.Context(), request)
	if _, unknown := errors.AsType[*client.UnknownOutcomeError](err); unknown {
		return withHint(err, opts.retryLine(method, path))
	}
	if err != nil || answer == nil {
		return err
	}
	if opts.output.format() == "" {
		opts.output.chosen = formatJSON
	}
	return a.printJSON(opts.output, answer)
}

// body reads the body of the request.
func (o *apiOptions) body() ([]byte, error) {
	if o.input == "" {
		return nil, nil
	}
	from := o.app.io.In
	if o.input != "-" {
		file, err := os.Open(o.input)
		if err != nil {
			return nil, usage(err)
		}
		defer file.Close()
		from = file
	}
	body, err := io.ReadAll(io.LimitReader(from, maxInput+1))
	switch {
	case err != nil:
		return nil, usage(err)
	case len(body) > maxInput:
		return nil, usagef("--input %s: it has more than %d bytes", o.input, maxInput)
	case !json.Valid(body):
		return nil, usagef("--input %s: it is not JSON", o.input)
	}
	return body, nil
}

// retryLine returns the command line that resolves an unknown outcome.
func (o *apiOptions) retryLine(method, path string) string {
	line := fmt.Sprintf("kizo api %s %s --idempotency-key %s", method, shellQuote(path), shellQuote(o.key.key))
	if o.input != "" {
		line += " --input " + shellQuote(o.input)
	}
	return line
}
