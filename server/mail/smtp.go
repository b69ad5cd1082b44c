package mail

import (
	"cmp"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/url"
	"slices"
	"strconv"
	"time"

	gomail "github.com/wneessen/go-mail"

	"github.com/JDevAman/kizo/server/auth"
)

// sendTimeout limits a whole delivery by default: connection, TLS, log-in, and the answer.
const sendTimeout = 30 * time.Second

// SMTPConfig says how to reach a mail server.
type SMTPConfig struct {
	// URL is smtps://user@host:465 for TLS from the first byte, or smtp://user@host:587 for
	// STARTTLS. Without STARTTLS no mail is sent, except to a server on this machine. Without a
	// user, kizod does not log in.
	URL      string
	Password auth.Secret
	From     string         // a bare address
	RootCAs  *x509.CertPool // that sign the server's certificate; nil: those of the system
	Timeout  time.Duration  // of a delivery; 30 s when 0
}

// SMTP sends mail through a mail server, with one connection for each message.
type SMTP struct {
	from    string
	timeout time.Duration
	client  func(ctx context.Context) (*gomail.Client, error)
}

// NewSMTP checks a configuration. It does not connect yet.
func NewSMTP(c SMTPConfig) (*SMTP, error) {
	c.Timeout = cmp.Or(c.Timeout, sendTimeout)
	u, err := url.Parse(c.URL)
	if err != nil || u.Hostname() == "" || u.Scheme != "smtp" && u.Scheme != "smtps" {
		return nil, errors.New("the URL of the mail server cannot be read; write it as smtps://user@host:465 or smtp://user@host:587")
	}
	if _, has := u.User.Password(); has {
		return nil, errors.New("the URL of the mail server has a password; put it into a file")
	}
	if m, err := (Message{To: c.From}).check(); err != nil {
		return nil, fmt.Errorf("the sender of mail, %q: %w", m.To, err)
	}
	user := u.User.Username()
	if (user == "") != (c.Password.Len() == 0) {
		return nil, errors.New("the mail server needs both a user in its URL and a password, or neither")
	}
	port := map[string]int{"smtp": 587, "smtps": 465}[u.Scheme]
	if text := u.Port(); text != "" {
		if port, err = strconv.Atoi(text); err != nil || port < 1 || port > 65535 {
			return nil, errors.New("the port of the mail server is not from 1 to 65535")
		}
	}
	policy := gomail.TLSMandatory
	if isLoopback(u.Hostname()) {
		policy = gomail.TLSOpportunistic
	}
	encryption := &tls.Config{ServerName: u.Hostname(), MinVersion: tls.VersionTLS12, RootCAs: c.RootCAs}
	options := []gomail.Option{
		gomail.WithPort(port), gomail.WithTimeout(c.Timeout), gomail.WithoutNoop(), gomail.WithTLSPolicy(policy), gomail.WithTLSConfig(encryption),
	}
	var overTLS *tls.Config
	if u.Scheme == "smtps" {
		overTLS, options = encryption, append(options, gomail.WithSSL())
	}
	if user != "" {
		mechanism := gomail.SMTPAuthAutoDiscover
		if overTLS != nil { // go-mail does not see that the connection is encrypted, and would not choose PLAIN
			mechanism = gomail.SMTPAuthPlain
		}
		options = append(options, gomail.WithSMTPAuth(mechanism), gomail.WithUsername(user),
			gomail.WithPassword(string(c.Password.Reveal())))
	}
	host := u.Hostname()
	return &SMTP{from: c.From, timeout: c.Timeout, client: func(ctx context.Context) (*gomail.Client, error) {
		return gomail.NewClient(host, append(slices.Clone(options), gomail.WithDialContextFunc(dialUntil(ctx, overTLS)))...)
	}}, nil
}

// dialUntil returns a function that opens connections which are closed when whole ends: go-mail
// itself would wait forever for the greeting of a server.
func dialUntil(whole context.Context, overTLS *tls.Config) gomail.DialContextFunc {
	return func(ctx context.Context, network, address string) (net.Conn, error) {
		conn, err := new(net.Dialer).DialContext(ctx, network, address)
		if err != nil {
			return nil, err
		}
		context.AfterFunc(whole, func() { _ = conn.Close() })
		if overTLS == nil {
			return conn, nil
		}
		encrypted := tls.Client(conn, overTLS)
		return encrypted, encrypted.HandshakeContext(ctx)
	}
}

func isLoopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

// Send delivers a message to the mail server, within the timeout.
func (s *SMTP) Send(ctx context.Context, m Message) error {
	m, err := m.check()
	if err != nil {
		return &Rejected{err}
	}
	ctx, cancel := context.WithTimeout(ctx, s.timeout)
	defer cancel()
	message := gomail.NewMsg(gomail.WithNoDefaultUserAgent())
	if err := errors.Join(message.From(s.from), message.To(m.To)); err != nil {
		return &Rejected{err}
	}
	message.Subject(m.Subject)
	message.SetBodyString(gomail.TypeTextPlain, m.Body)
	message.SetGenHeader("Auto-Submitted", "auto-generated") // RFC 3834: no automatic answers
	client, err := s.client(ctx)
	if err != nil {
		return err
	}
	if err := client.DialAndSendWithContext(ctx, message); err != nil {
		return classify(err)
	}
	return nil
}

// classify makes an answer of 500 or more to the message or its recipient a Rejected. Such an
// answer to anything before, such as the log-in, may end when an operator changes a setting.
func classify(err error) error {
	failed, ok := errors.AsType[*gomail.SendError](err)
	if ok && failed.ErrorCode() >= 500 {
		return &Rejected{err}
	}
	return err
}
