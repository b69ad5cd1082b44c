package mail

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/emersion/go-smtp"
	"github.com/hibiken/asynq"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/redis/go-redis/v9"

	"github.com/JDevAman/kizo/internal/testkit"
	"github.com/JDevAman/kizo/server/auth"
)

func TestResetByMail(t *testing.T) {
	t.Parallel()
	h, m := newHarness(t), serveMail(t, false)
	h.signUp("ada")
	h.worker(m.sender())
	for _, login := range []string{"ada", "ada@example.com"} {
		h.askForReset(login)
		text := testkit.Receive(t, "the mail", m.received)
		testkit.Contains(t, text, "To: <ada@example.com>", "Hello @ada", "kizo password reset ada")
		code := codeIn(t, text)
		testkit.Equal(t, "another code", h.reset(login, "0000-0000"), false)
		testkit.Equal(t, "the code", h.reset(login, strings.ToLower(code)), true)
		testkit.Equal(t, "the code again", h.reset(login, code), false)
	}
	// An unknown user and one who has not verified an address get no mail.
	_, _, err := h.auth.SignUp(t.Context(), auth.SignUpInput{Email: "bob@example.com", Handle: "bob", Name: "Bob", Password: userPassword})
	testkit.Must(t, err)
	for _, login := range []string{"bob", "bob@example.com", "carol", ""} {
		h.askForReset(login)
	}
	testkit.Eventually(t, "no mails", func() bool { return h.counted(PasswordReset, resultNone) == 4 })
	testkit.Equal(t, "mails", len(m.received), 0)
}

// TestTasksHaveNoSecrets: a code is in the mail, and neither in Redis nor readable in PostgreSQL.
func TestTasksHaveNoSecrets(t *testing.T) {
	t.Parallel()
	h, m := newHarness(t), serveMail(t, false)
	h.signUp("ada")
	client := redis.NewClient(&redis.Options{Network: h.redis.Network, Addr: h.redis.Addr})
	defer client.Close()
	var inRedis, code string
	m.answer = func(_, data string) error { // the task is in Redis while its mail is sent
		code = codeIn(t, data)
		for _, key := range client.Keys(context.Background(), "*").Val() {
			value, _ := client.Dump(context.Background(), key).Result()
			hash, _ := client.HGetAll(context.Background(), key).Result()
			inRedis += key + value + fmt.Sprint(hash)
		}
		return nil
	}
	h.worker(m.sender())
	h.askForReset("ada")
	testkit.Receive(t, "the mail", m.received)
	testkit.Contains(t, inRedis, "ada", taskType)
	plain := strings.ReplaceAll(code, "-", "")
	for _, secret := range []string{code, plain, strings.ToLower(plain), mailPassword} {
		if strings.Contains(inRedis, secret) {
			t.Errorf("Redis contains %q", secret)
		}
	}
}

// TestMailIsRetried: a mail that the server does not take is sent later, with another code.
func TestMailIsRetried(t *testing.T) {
	t.Parallel()
	h, m := newHarness(t), serveMail(t, false)
	h.signUp("ada")
	var refused atomic.Pointer[string]
	m.answer = func(_, data string) error {
		if first := codeIn(t, data); refused.CompareAndSwap(nil, &first) {
			return &smtp.SMTPError{Code: 451, EnhancedCode: smtp.NoEnhancedCode, Message: "later"}
		}
		return nil
	}
	h.worker(m.sender())
	h.askForReset("ada")
	code := codeIn(t, testkit.Receive(t, "the mail", m.received))
	testkit.Equal(t, "failed", h.counted(PasswordReset, resultFailed), 1)
	testkit.Equal(t, "the refused code", h.reset("ada", *refused.Load()), false)
	testkit.Equal(t, "the code", h.reset("ada", code), true)
}

// TestMailEnds: a rejected mail, an expired one, and those above the limits are not retried.
func TestMailEnds(t *testing.T) {
	t.Parallel()
	h, m := newHarness(t), serveMail(t, false)
	m.rcpt = func(to string) error {
		if to == "eve@example.com" {
			return &smtp.SMTPError{Code: 550, EnhancedCode: smtp.NoEnhancedCode, Message: "no such mailbox"}
		}
		return nil
	}
	for _, name := range []string{"ada", "eve"} {
		h.signUp(name)
	}
	h.worker(m.sender())
	h.askForReset("eve")
	testkit.Eventually(t, "the rejected mail", func() bool { return h.counted(PasswordReset, resultRejected) == 1 })
	old := NewTask(PasswordReset)
	old.Login, old.At = "ada", time.Now().Add(-life-time.Second)
	h.queue.Enqueue(old)
	testkit.Eventually(t, "the expired mail", func() bool { return h.counted(PasswordReset, resultExpired) == 1 })

	// A user gets five codes in an hour.
	const asked = 40
	for range asked {
		h.askForReset("ada")
	}
	testkit.Eventually(t, "all tasks", func() bool { return h.counted(PasswordReset, resultNone)+h.counted(PasswordReset, resultSent) == asked })
	testkit.Equal(t, "mails", h.counted(PasswordReset, resultSent) <= 5, true)
	testkit.Equal(t, "delivered", len(m.received), h.counted(PasswordReset, resultSent))
	t.Logf("%d requests for one user: %d mails", asked, len(m.received))
}

// TestRateOfMail: the limit of all mail delays mails and loses none.
func TestRateOfMail(t *testing.T) {
	t.Parallel()
	h, m := newHarness(t), serveMail(t, false)
	const users = 3
	for i := range users {
		h.signUp(fmt.Sprintf("user%d", i))
	}
	h.worker(m.sender(), func(c *WorkerConfig) { c.Rate = users - 1 })
	for i := range users {
		h.askForReset(fmt.Sprintf("user%d", i))
	}
	testkit.Eventually(t, "a delayed mail", func() bool { return h.counted(PasswordReset, resultDelayed) > 0 })
	testkit.Eventually(t, "the other mails", func() bool { return len(m.received) == users-1 })
	// A minute later. The limit forgets what it has counted.
	client := redis.NewClient(&redis.Options{Network: h.redis.Network, Addr: h.redis.Addr})
	defer client.Close()
	testkit.Must(t, client.Del(t.Context(), "rate:kizo:mail:all").Err())
	testkit.Eventually(t, "all mails", func() bool { return len(m.received) == users })
}

// TestQueueWithoutRedis: a mail that is asked for while Redis is down is sent when it is back.
func TestQueueWithoutRedis(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	queue := NewQueue(asynq.RedisClientOpt{Network: "unix", Addr: "/nonexistent"}, slog.New(slog.DiscardHandler), h.metrics)
	queue.retry = time.Millisecond
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error)
	go func() { done <- queue.Run(ctx) }()
	for range maxWaiting + 2 { // one of them is with Run, perhaps
		queue.Enqueue(NewTask(PasswordReset))
	}
	testkit.Equal(t, "lost", h.counted(PasswordReset, resultLost) >= 1, true)
	cancel()
	testkit.Must(t, testkit.Receive(t, "the end", done))
}

const childEnv = "KIZO_TEST_MAIL_WORKER"

// runChild is a worker in a process of its own, until it is killed.
func runChild() {
	settings := strings.Split(os.Getenv(childEnv), " ")
	pool, err := pgxpool.New(context.Background(), settings[0])
	if err != nil {
		panic(err)
	}
	service, err := testService(pool)
	if err != nil {
		panic(err)
	}
	sender, err := NewSMTP(SMTPConfig{URL: settings[3], From: "kizo@example.com"})
	if err != nil {
		panic(err)
	}
	_ = NewWorker(WorkerConfig{
		Redis: asynq.RedisClientOpt{Network: settings[1], Addr: settings[2]}, Auth: service, Sender: sender,
		Logger: slog.New(slog.NewTextHandler(os.Stderr, nil)), Metrics: NewMetrics(),
	}).Run(context.Background())
}

// TestKilledBetweenSendAndAck: a worker is killed when the mail server has accepted the mail, and
// before it hears of that. Another worker sends the mail again, with the only code that is valid.
func TestKilledBetweenSendAndAck(t *testing.T) {
	t.Parallel()
	h, m := newHarness(t), serveMail(t, true)
	h.signUp("ada")
	child := exec.Command(os.Args[0])
	child.Env = append(os.Environ(), childEnv+"="+strings.Join([]string{h.db.AppURL, h.redis.Network, h.redis.Addr, "smtp://" + m.address}, " "))
	child.Stderr = os.Stderr
	killed := make(chan struct{})
	var mails atomic.Int64
	m.answer = func(string, string) error {
		if mails.Add(1) == 1 {
			if err := child.Process.Signal(syscall.SIGKILL); err != nil {
				t.Errorf("kill the worker: %v", err)
			}
			_ = child.Wait()
			close(killed)
		}
		return nil
	}
	testkit.Must(t, child.Start())
	t.Cleanup(func() { _ = child.Process.Kill() })
	h.askForReset("ada")
	testkit.Receive(t, "the end of the worker", killed)
	first := codeIn(t, testkit.Receive(t, "the first mail", m.received))

	// asynq gives a task of a dead worker to another one when its lease has ended for 30 s.
	client := redis.NewClient(&redis.Options{Network: h.redis.Network, Addr: h.redis.Addr})
	defer client.Close()
	const leases = "asynq:{" + QueueName + "}:lease"
	held, err := client.ZRange(t.Context(), leases, 0, -1).Result()
	testkit.Must(t, err)
	testkit.Equal(t, "leases", len(held), 1)
	testkit.Must(t, client.ZAdd(t.Context(), leases, redis.Z{Score: 1, Member: held[0]}).Err())
	h.worker(m.sender(func(c *SMTPConfig) { c.URL, c.Password = "smtp://"+m.address, auth.Secret{} }))
	second := codeIn(t, testkit.Receive(t, "the second mail", m.received))
	testkit.Equal(t, "the first code", h.reset("ada", first), false)
	testkit.Equal(t, "the second code", h.reset("ada", second), true)
	testkit.Equal(t, "mails", mails.Load(), 2)
}
