package main

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/JDevAman/kizo/client"
	"github.com/JDevAman/kizo/internal/printable"
)

const (
	// secretPrefix and the sizes are those of the Standard Webhooks specification, 1.0.0.
	secretPrefix              = "whsec_"
	minSecretSize, newSecret  = 24, 32 // bytes
	maxSecretSize, maxSecrets = 64, 2

	// maxWebhookAnswer is how much of an answer is read, in bytes, so that the connection can be
	// used again.
	maxWebhookAnswer = 16 << 10

	firstWebhookPause, maxWebhookPause = time.Second, time.Minute
	maxRetryAfter                      = time.Hour
)

// webhook posts events to a URL, in the form of the Standard Webhooks specification
// (github.com/standard-webhooks/standard-webhooks, 1.0.0).
type webhook struct {
	app         *app
	url         string
	http        *http.Client
	secrets     [][]byte // the receiver knows one of them
	maxAttempts int      // for an event; 0 means no limit
	sleep       func(context.Context, time.Duration) error
}

// webhookBody is what the receiver gets.
type webhookBody struct {
	Type      string          `json:"type"` // transfer.posted
	Timestamp time.Time       `json:"timestamp"`
	Data      json.RawMessage `json:"data"` // as kizo events --json prints it
}

// send posts an event until the receiver accepts it.
func (w *webhook) send(ctx context.Context, e client.Event) error {
	data, err := eventJSON(e)
	if err != nil {
		return err
	}
	body, err := json.Marshal(webhookBody{Type: "transfer." + string(e.Transfer.State), Timestamp: e.At.UTC(), Data: data})
	if err != nil {
		return err
	}
	for failures := 1; ; failures++ {
		retryAfter, err := w.post(ctx, e.ID, body)
		if err == nil {
			if failures > 1 {
				w.app.io.note("Event %s was accepted at attempt %d.", printable.Text(e.ID), failures)
			}
			return nil
		}
		if ctx.Err() != nil {
			return context.Canceled
		}
		if errors.Is(err, errGone) || failures == w.maxAttempts {
			return errDelivery(e, err)
		}
		pause := max(backoff(failures, firstWebhookPause, maxWebhookPause), min(retryAfter, maxRetryAfter))
		w.app.io.note("Attempt %d of event %s: %s; the next one is in %s.",
			failures, printable.Text(e.ID), printable.Text(err.Error()), pause.Round(time.Millisecond))
		if w.sleep(ctx, pause) != nil {
			return context.Canceled
		}
	}
}

// errGone is an answer with which a receiver asks for no more events.
var errGone = errors.New("the receiver wants no more events (410 Gone)")

// post makes one attempt. It returns how long the receiver asks to wait before the next one.
func (w *webhook) post(ctx context.Context, id string, body []byte) (retryAfter time.Duration, err error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, w.url, bytes.NewReader(body))
	if err != nil {
		return 0, err
	}
	at := strconv.FormatInt(w.app.now().Unix(), 10)
	request.Header.Set("Content-Type", "application/json")
	request.Header.Set("User-Agent", userAgent())
	request.Header.Set("webhook-id", id)
	request.Header.Set("webhook-timestamp", at)
	request.Header.Set("webhook-signature", signWebhook(w.secrets, id, at, body))
	answer, err := w.http.Do(request)
	if err != nil {
		if failed, ok := errors.AsType[*url.Error](err); ok {
			err = failed.Err // without the URL, whose path and query may be a secret
		}
		return 0, err
	}
	defer answer.Body.Close()
	_, _ = io.CopyN(io.Discard, answer.Body, maxWebhookAnswer)
	switch {
	case answer.StatusCode >= 200 && answer.StatusCode < 300:
		return 0, nil
	case answer.StatusCode == http.StatusGone:
		return 0, errGone
	case answer.StatusCode >= 300 && answer.StatusCode < 400:
		err = fmt.Errorf("the receiver answered %d, and kizo does not follow redirects", answer.StatusCode)
	default:
		err = fmt.Errorf("the receiver answered %d", answer.StatusCode)
	}
	return parseRetryAfter(answer.Header.Get("Retry-After"), w.app.now()), err
}

// parseRetryAfter parses seconds or a date (RFC 9110, section 10.2.3). It returns 0 for any other
// text.
func parseRetryAfter(text string, now time.Time) time.Duration {
	if seconds, err := strconv.ParseUint(text, 10, 31); err == nil {
		return time.Duration(seconds) * time.Second
	}
	if at, err := http.ParseTime(text); err == nil {
		return max(0, at.Sub(now))
	}
	return 0
}

// signWebhook returns the signature of a request by each secret.
func signWebhook(secrets [][]byte, id, at string, body []byte) string {
	signatures := make([]string, len(secrets))
	for i, secret := range secrets {
		mac := hmac.New(sha256.New, secret)
		fmt.Fprintf(mac, "%s.%s.%s", id, at, body)
		signatures[i] = "v1," + base64.StdEncoding.EncodeToString(mac.Sum(nil))
	}
	return strings.Join(signatures, " ")
}

// webhookURL checks where events are sent: events are data of the user, so that they go unencrypted
// only to this computer.
func (a *app) webhookURL(text string) (*url.URL, error) {
	u, err := url.Parse(text)
	switch {
	case err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Hostname() == "":
		return nil, withHint(usagef("--forward-to needs a URL that begins with https://, or with http:// for this computer"),
			"kizo listen --forward-to http://localhost:4242/webhook")
	case u.User != nil:
		return nil, usagef("--forward-to: a password in the URL would be seen by others: the signature shows who sends")
	case u.Fragment != "":
		return nil, usagef("--forward-to: the part after # is not sent: remove it")
	case unencryptedRemote(text):
		allowed, err := a.insecureHTTP()
		if err != nil {
			return nil, err
		}
		if !allowed {
			return nil, withHint(usagef("the events would be sent to %s unencrypted", u.Host),
				a.retyped(text, "https://"+strings.TrimPrefix(text, "http://")), a.commandLine()+" --insecure-http (if you trust that network)")
		}
	}
	return u, nil
}

// webhookClient returns the HTTP client for a receiver. It does not follow redirects: a signed
// event goes to the URL that the user named, and nowhere else.
func (a *app) webhookClient(timeout time.Duration) (*http.Client, error) {
	own, err := a.httpClient()
	if err != nil {
		return nil, err
	}
	return &http.Client{
		Transport: own.Transport, Timeout: timeout,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}, nil
}

// secretVariable is the environment variable of the secret.
const secretVariable = "KIZO_WEBHOOK_SECRET"

// webhookSecrets returns the secrets that sign, and where they are from. It creates the file, with
// a new secret, at its first use.
func (a *app) webhookSecrets(path string) (secrets [][]byte, origin string, err error) {
	if text := a.env(secretVariable); text != "" {
		secrets, err = parseSecrets(text, secretVariable)
		return secrets, secretVariable, err
	}
	content, err := readPrivate(path)
	if errors.Is(err, fs.ErrNotExist) {
		content, err = createSecret(path)
	}
	if err != nil {
		return nil, "", err
	}
	secrets, err = parseSecrets(string(content), printable.Text(path))
	return secrets, path, err
}

// createSecret writes a new secret to a file that only its owner can read.
func createSecret(path string) ([]byte, error) {
	random := make([]byte, newSecret)
	if _, err := rand.Read(random); err != nil {
		return nil, err
	}
	content := []byte(formatSecret(random) + "\n")
	file, err := openPrivate(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	if _, err := file.Write(content); err != nil {
		return nil, errors.Join(err, os.Remove(path))
	}
	return content, errors.Join(file.Sync(), syncDir(filepath.Dir(path)))
}

func formatSecret(secret []byte) string {
	return secretPrefix + base64.StdEncoding.EncodeToString(secret)
}

// parseSecrets parses one secret on each line. Its errors do not repeat the text.
func parseSecrets(text, origin string) (secrets [][]byte, err error) {
	for line := range strings.FieldsSeq(text) {
		encoded, prefixed := strings.CutPrefix(line, secretPrefix)
		secret, err := base64.StdEncoding.DecodeString(encoded)
		if !prefixed || err != nil || len(secret) < minSecretSize || len(secret) > maxSecretSize {
			return nil, usagef("%s has no secret of a webhook: whsec_ and the base64 of %d to %d bytes", origin, minSecretSize, maxSecretSize)
		}
		secrets = append(secrets, secret)
	}
	if len(secrets) == 0 || len(secrets) > maxSecrets {
		return nil, usagef("%s has %d secrets: it needs one, or two while the receiver changes from one to the other", origin, len(secrets))
	}
	return secrets, nil
}
