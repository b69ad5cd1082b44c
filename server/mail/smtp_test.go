package mail

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"net/mail"
	"strings"
	"testing"
	"time"

	"github.com/emersion/go-smtp"

	"github.com/JDevAman/kizo/internal/testkit"
	"github.com/JDevAman/kizo/server/auth"
)

var hello = Message{To: "ada@example.com", Subject: "Hello", Body: "Hello @ada,\n\nthe first line.\n"}

func TestSMTPDelivers(t *testing.T) {
	t.Parallel()
	m := serveMail(t, false)
	testkit.Must(t, m.sender().Send(t.Context(), hello))
	got, err := mail.ReadMessage(strings.NewReader(testkit.Receive(t, "the mail", m.received)))
	testkit.Must(t, err)
	for name, want := range map[string]string{
		"From": "<kizo@example.com>", "To": "<ada@example.com>", "Subject": "Hello", "Auto-Submitted": "auto-generated",
		"Content-Type": "text/plain; charset=UTF-8", "Bcc": "", "X-Mailer": "", "User-Agent": "",
	} {
		testkit.Equal(t, name, got.Header.Get(name), want)
	}
	// TLS from the first byte.
	inner, err := net.Listen("tcp", "127.0.0.1:0")
	testkit.Must(t, err)
	config, roots := certificate(t, "127.0.0.1")
	server := smtp.NewServer(m)
	defer server.Close()
	go func() { _ = server.Serve(tls.NewListener(inner, config)) }()
	testkit.Must(t, m.sender(func(c *SMTPConfig) { c.URL, c.RootCAs = "smtps://"+mailUser+"@"+inner.Addr().String(), roots }).Send(t.Context(), hello))
	testkit.Receive(t, "the mail over TLS", m.received)

	// A server on this machine needs neither TLS nor a log-in.
	plain := serveMail(t, true)
	testkit.Must(t, plain.sender(func(c *SMTPConfig) { c.URL, c.Password = "smtp://"+plain.address, auth.Secret{} }).Send(t.Context(), hello))
}

// TestHeadersAreSafe: no text of a user adds a header, a recipient or a second message.
func TestHeadersAreSafe(t *testing.T) {
	t.Parallel()
	m := serveMail(t, false)
	attempts := 0
	for _, bad := range []string{
		"ada@example.com\r\nBcc: eve@example.com", "ada@example.com\nBcc: eve@example.com", "ada@example.com, eve@example.com",
		"Ada <ada@example.com>", "ada@example.com\x00", "", "ada", "ada@exam ple.com", strings.Repeat("a", 250) + "@example.com", "ädä@example.com",
	} {
		attempts++
		err := m.sender().Send(t.Context(), Message{To: bad, Subject: "x", Body: "y"})
		if _, rejected := errors.AsType[*Rejected](err); !rejected {
			t.Errorf("%q was not rejected: %v", bad, err)
		}
	}
	for _, bad := range []string{"a\r\n.\r\nMAIL FROM:<x>", "\x1b[2J", "\xff", strings.Repeat("x", maxBodyBytes+1)} {
		attempts++
		if err := m.sender().Send(t.Context(), Message{To: "ada@example.com", Subject: "x", Body: bad}); err == nil {
			t.Errorf("the body %q was sent", bad[:4])
		}
	}
	attempts++
	testkit.Must(t, m.sender().Send(t.Context(), Message{
		To: "ada@example.com", Subject: "Hello\r\nBcc: eve@example.com\r\n\r\nbody", Body: "first\n.\nQUIT\n..\nlast\n",
	}))
	got, err := mail.ReadMessage(strings.NewReader(testkit.Receive(t, "the mail", m.received)))
	testkit.Must(t, err)
	testkit.Equal(t, "Bcc", got.Header.Get("Bcc"), "")
	testkit.Equal(t, "Subject", got.Header.Get("Subject"), "Hello Bcc: eve@example.com body")
	t.Logf("%d attempts to inject, none has added a header or a recipient", attempts)
}

// TestSMTPNeedsTLS: without STARTTLS, or with a certificate that does not verify, no message, user
// or password is sent to another machine.
func TestSMTPNeedsTLS(t *testing.T) {
	t.Parallel()
	plain, encrypted := serveMail(t, true), serveMail(t, false)
	_, port, err := net.SplitHostPort(plain.address)
	testkit.Must(t, err)
	elsewhere := "smtp://" + mailUser + "@0.0.0.0:" + port // this machine, but not by a loopback address
	_, tlsPort, err := net.SplitHostPort(encrypted.address)
	testkit.Must(t, err)
	for what, change := range map[string]func(*SMTPConfig){
		"no STARTTLS":             func(c *SMTPConfig) { c.URL = elsewhere },
		"unknown certificate":     func(c *SMTPConfig) { c.URL, c.RootCAs = "smtp://"+mailUser+"@"+encrypted.address, nil },
		"certificate of another":  func(c *SMTPConfig) { c.URL, c.RootCAs = "smtp://"+mailUser+"@localhost:"+tlsPort, encrypted.roots },
		"TLS from the first byte": func(c *SMTPConfig) { c.URL = "smtps://" + mailUser + "@" + encrypted.address },
		"wrong password": func(c *SMTPConfig) {
			c.URL, c.Password = "smtp://"+mailUser+"@"+encrypted.address, auth.NewSecret([]byte("x"))
		},
	} {
		err := encrypted.sender(change).Send(t.Context(), hello)
		if _, rejected := errors.AsType[*Rejected](err); err == nil || rejected {
			t.Errorf("%s: %v", what, err)
		}
	}
	testkit.Equal(t, "messages", len(plain.received)+len(encrypted.received), 0)
}

// TestSMTPFailures: which failures end the attempts.
func TestSMTPFailures(t *testing.T) {
	t.Parallel()
	answer := func(code int) error {
		return &smtp.SMTPError{Code: code, EnhancedCode: smtp.NoEnhancedCode, Message: "no"}
	}
	for what, c := range map[string]struct {
		rcpt, data error
		rejected   bool
	}{
		"451 to the message":   {data: answer(451)},
		"450 to the recipient": {rcpt: answer(450)},
		"550 to the recipient": {rcpt: answer(550), rejected: true},
		"554 to the message":   {data: answer(554), rejected: true},
	} {
		m := serveMail(t, false)
		m.rcpt = func(string) error { return c.rcpt }
		m.answer = func(string, string) error { return c.data }
		err := m.sender().Send(t.Context(), hello)
		if _, rejected := errors.AsType[*Rejected](err); err == nil || rejected != c.rejected {
			t.Errorf("%s: %v", what, err)
		}
	}

	down := serveMail(t, false).sender(func(c *SMTPConfig) { c.URL = "smtp://" + mailUser + "@127.0.0.1:1" })
	if err := down.Send(t.Context(), hello); err == nil {
		t.Error("a mail was sent without a server")
	}

	silent, err := net.Listen("tcp", "127.0.0.1:0") // accepts connections and never answers
	testkit.Must(t, err)
	defer silent.Close()
	hung := serveMail(t, false)
	release := make(chan struct{})
	defer close(release)
	hung.answer = func(string, string) error { <-release; return nil }
	for what, url := range map[string]string{"no greeting": silent.Addr().String(), "no answer to the message": hung.address} {
		ends := make(chan error)
		s := hung.sender(func(c *SMTPConfig) { c.URL, c.Timeout = "smtp://"+mailUser+"@"+url, 500*time.Millisecond })
		go func() { ends <- s.Send(context.Background(), hello) }()
		err := testkit.Receive(t, what, ends)
		if _, rejected := errors.AsType[*Rejected](err); err == nil || rejected {
			t.Errorf("%s: %v", what, err)
		}
	}
}

func TestSMTPConfig(t *testing.T) {
	t.Parallel()
	secret := auth.NewSecret([]byte("x"))
	for _, bad := range []SMTPConfig{
		{URL: "http://mail.example.com", From: "kizo@example.com"},
		{URL: "smtp://", From: "kizo@example.com"},
		{URL: "smtp://mail.example.com:0", From: "kizo@example.com"},
		{URL: "smtp://kizo:secret@mail.example.com", From: "kizo@example.com", Password: secret},
		{URL: "smtp://kizo@mail.example.com", From: "kizo@example.com"},
		{URL: "smtp://mail.example.com", From: "kizo@example.com", Password: secret},
		{URL: "smtp://mail.example.com", From: "Kizo <kizo@example.com>"},
		{URL: "smtp://mail.example.com"},
	} {
		if _, err := NewSMTP(bad); err == nil {
			t.Errorf("%s from %q was accepted", bad.URL, bad.From)
		} else if strings.Contains(err.Error(), "secret@") {
			t.Errorf("the error shows the password: %v", err)
		}
	}
}
