package mail

import (
	"context"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"io"
	"log/slog"
	"math/big"
	"net"
	"os"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/emersion/go-sasl"
	"github.com/emersion/go-smtp"
	"github.com/hibiken/asynq"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/JDevAman/kizo/internal/testkit"
	"github.com/JDevAman/kizo/migrations"
	"github.com/JDevAman/kizo/server/auth"
	"github.com/JDevAman/kizo/server/embedded/pgtest"
	"github.com/JDevAman/kizo/server/embedded/redistest"
)

func TestMain(m *testing.M) {
	if os.Getenv(childEnv) != "" { // of TestKilledBetweenSendAndAck
		runChild()
		return
	}
	pgtest.Main(m, migrations.Apply, pgtest.WithSetting("fsync", "off"))
}

const (
	mailUser     = "kizo"
	mailPassword = "secret of the mail server"
	userPassword = "correct horse battery staple"
	newPassword  = "another horse battery staple"
)

// mailServer is an SMTP server on this machine.
type mailServer struct {
	t        testing.TB
	address  string // host:port
	roots    *x509.CertPool
	received chan string                        // accepted messages
	answer   func(to string, data string) error // to the end of DATA; nil accepts
	rcpt     func(to string) error
}

// serveMail starts a server, with STARTTLS unless withoutTLS is set.
func serveMail(t testing.TB, withoutTLS bool) *mailServer {
	t.Helper()
	m := &mailServer{t: t, received: make(chan string, 64)}
	server := smtp.NewServer(m)
	server.Domain, server.AllowInsecureAuth = "mail.test", true
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	testkit.Must(t, err)
	m.address = listener.Addr().String()
	if !withoutTLS {
		server.TLSConfig, m.roots = certificate(t, "127.0.0.1")
	}
	var served sync.WaitGroup
	served.Go(func() { _ = server.Serve(listener) })
	t.Cleanup(func() {
		server.Close()
		served.Wait()
	})
	return m
}

// certificate returns a certificate for an address, and what verifies it.
func certificate(t testing.TB, ip string) (*tls.Config, *x509.CertPool) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	testkit.Must(t, err)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "mail.test"}, IsCA: true, BasicConstraintsValid: true,
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), IPAddresses: []net.IP{net.ParseIP(ip)},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	testkit.Must(t, err)
	parsed, err := x509.ParseCertificate(der)
	testkit.Must(t, err)
	roots := x509.NewCertPool()
	roots.AddCert(parsed)
	return &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}}}, roots
}

// NewSession implements smtp.Backend.
func (m *mailServer) NewSession(c *smtp.Conn) (smtp.Session, error) {
	return &mailSession{server: m, conn: c}, nil
}

type mailSession struct {
	server *mailServer
	conn   *smtp.Conn
	signed bool
	to     string
}

func (s *mailSession) AuthMechanisms() []string { return []string{sasl.Plain} }

func (s *mailSession) Auth(string) (sasl.Server, error) {
	return sasl.NewPlainServer(func(_, user, password string) error {
		if user != mailUser || password != mailPassword {
			return smtp.ErrAuthFailed
		}
		s.signed = true
		return nil
	}), nil
}

func (s *mailSession) Mail(string, *smtp.MailOptions) error { return nil }

func (s *mailSession) Rcpt(to string, _ *smtp.RcptOptions) error {
	s.to = to
	if s.server.rcpt != nil {
		return s.server.rcpt(to)
	}
	return nil
}

func (s *mailSession) Data(r io.Reader) error {
	data, err := io.ReadAll(r)
	if err != nil {
		return err
	}
	if _, encrypted := s.conn.TLSConnectionState(); s.server.roots != nil && (!encrypted || !s.signed) {
		s.server.t.Errorf("a message arrived without TLS or log-in: %t %t", encrypted, s.signed)
	}
	text := strings.ReplaceAll(string(data), "\r\n", "\n")
	if s.server.answer != nil {
		if err := s.server.answer(s.to, text); err != nil {
			return err
		}
	}
	s.server.received <- text
	return nil
}

func (*mailSession) Reset()        {}
func (*mailSession) Logout() error { return nil }

// sender returns an SMTP for the server.
func (m *mailServer) sender(change ...func(*SMTPConfig)) *SMTP {
	m.t.Helper()
	config := SMTPConfig{
		URL: "smtp://" + mailUser + "@" + m.address, Password: auth.NewSecret([]byte(mailPassword)), From: "kizo@example.com",
		RootCAs: m.roots, Timeout: 20 * time.Second,
	}
	for _, c := range change {
		c(&config)
	}
	s, err := NewSMTP(config)
	testkit.Must(m.t, err)
	return s
}

// harness is a queue and what a worker needs.
type harness struct {
	t       testing.TB
	auth    *auth.Service
	owner   *auth.Service
	db      *pgtest.Database
	redis   asynq.RedisClientOpt
	queue   *Queue
	metrics *Metrics
}

func newHarness(t testing.TB) *harness {
	t.Helper()
	server := redistest.New(t)
	h := &harness{
		t: t, db: pgtest.New(t), metrics: NewMetrics(),
		redis: asynq.RedisClientOpt{Network: server.Network(), Addr: server.Addr()},
	}
	h.auth, h.owner = newService(t, h.db.AppURL), newService(t, h.db.AdminURL)
	h.queue = NewQueue(h.redis, slog.New(slog.DiscardHandler), h.metrics)
	h.runs(h.queue.Run)
	return h
}

func newService(t testing.TB, url string) *auth.Service {
	t.Helper()
	pool, err := pgxpool.New(t.Context(), url)
	testkit.Must(t, err)
	t.Cleanup(pool.Close)
	service, err := testService(pool)
	testkit.Must(t, err)
	return service
}

// testService makes the same service in the child of TestKilledBetweenSendAndAck.
func testService(pool *pgxpool.Pool) (*auth.Service, error) {
	keys, err := auth.NewKeys(ed25519.NewKeyFromSeed(make([]byte, ed25519.SeedSize)))
	peppers, err2 := auth.NewPeppers(auth.Pepper{ID: "p1", Key: auth.NewSecret(make([]byte, 32))})
	if err := errors.Join(err, err2); err != nil {
		return nil, err
	}
	return auth.New(auth.Config{Pool: pool, Keys: keys, Peppers: peppers, Params: auth.Argon2Params{MemoryKiB: 8, Time: 1, Threads: 1}})
}

// runs runs a part until the test ends.
func (h *harness) runs(part func(context.Context) error) {
	h.t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() {
		if err := part(ctx); err != nil {
			h.t.Errorf("%v", err)
		}
	})
	h.t.Cleanup(func() {
		cancel()
		running.Wait()
	})
}

// worker starts a worker that sends with sender.
func (h *harness) worker(sender Sender, change ...func(*WorkerConfig)) {
	h.t.Helper()
	config := WorkerConfig{Redis: h.redis, Auth: h.auth, Sender: sender, Logger: slog.New(slog.DiscardHandler), Metrics: h.metrics}
	for _, c := range change {
		c(&config)
	}
	h.runs(NewWorker(config).Run)
}

// signUp makes a user who has verified an address.
func (h *harness) signUp(handle string) {
	h.t.Helper()
	_, _, err := h.auth.SignUp(h.t.Context(), auth.SignUpInput{Email: handle + "@example.com", Handle: handle, Name: handle, Password: userPassword})
	testkit.Must(h.t, err)
	_, err = h.owner.VerifyEmail(h.t.Context(), handle, "test")
	testkit.Must(h.t, err)
}

// askForReset asks for a mail with a reset code.
func (h *harness) askForReset(login string) Task {
	h.t.Helper()
	task := NewTask(PasswordReset)
	task.Login = login
	h.queue.Enqueue(task)
	return task
}

// reset chooses another password, and reports whether the code was right.
func (h *harness) reset(login, code string) bool {
	h.t.Helper()
	return h.auth.ResetPassword(h.t.Context(), auth.ResetPasswordInput{Login: login, Code: code, New: newPassword}) == nil
}

func (h *harness) counted(k Kind, r result) int {
	return int(testutil.ToFloat64(h.metrics.mails.WithLabelValues(string(k), string(r))))
}

var codePattern = regexp.MustCompile(`(?m)^    ([0-9A-Z]{4}-[0-9A-Z]{4})$`)

// codeIn returns the code in a mail.
func codeIn(t testing.TB, text string) string {
	t.Helper()
	found := codePattern.FindStringSubmatch(text)
	if found == nil {
		t.Fatalf("the mail contains no code:\n%s", text)
	}
	return found[1]
}
