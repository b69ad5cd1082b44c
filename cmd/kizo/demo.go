package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	mathrand "math/rand/v2"
	"sync"
	"time"

	"github.com/spf13/cobra"

	"github.com/JDevAman/kizo/client"
	"github.com/JDevAman/kizo/internal/printable"
)

// demoContext is the context in which kizo demo logs in.
const demoContext = "demo"

// demoTown is what kizo demo has made.
type demoTown struct {
	Context   string `json:"context"`
	Server    string `json:"server"`
	User      string `json:"user"`     // the handle whose session the context has
	Password  string `json:"password"` // of every user of the town
	Users     int    `json:"users"`
	Transfers int    `json:"transfers"`
}

var demoColumns = []column{{title: "CONTEXT"}, {title: "SERVER"}, {title: "USER"}, {title: "PASSWORD"}, {title: "USERS"}, {title: "TRANSFERS"}}

func (t *demoTown) row() []string {
	return []string{t.Context, t.Server, "@" + t.User, t.Password, fmt.Sprint(t.Users), fmt.Sprint(t.Transfers)}
}

type demoOptions struct {
	app       *app
	output    outputFlags
	seed      uint64
	live      time.Duration
	dashboard bool
}

func newDemoCommand(a *app) *cobra.Command {
	opts := &demoOptions{app: a}
	cmd := &cobra.Command{
		Use:   "demo",
		Short: "Fill a kizod dev with a small town's payments, and show them",
		Long: `Fill a new kizod dev with the payments of a small town in a fortnight: a bakery, its bakers, landlord, mill and
customers, in EUR, CHF, USD and JPY. They are made through the API, as all payments are, so the ledger dates them
when they are posted, within seconds; the memos name the days of the story. The same --seed tells the same story.

kizo logs in as the baker @mila in the context demo, and on a terminal opens the dashboard, with small payments
as long as it is open. A withdrawal that the bank contradicts needs review after about a minute: operators see it
(kizod user grant mila operator).`,
		Example: `  kizo demo
  kizo demo --dashboard=false
  kizo demo --live 5m`,
		Args: takes(""),
		RunE: func(cmd *cobra.Command, _ []string) error { return demoRun(cmd.Context(), opts) },
	}
	opts.output.addTo(cmd, a, demoTown{}, demoColumns...)
	flags := cmd.Flags()
	flags.Uint64Var(&opts.seed, "seed", 1, "tells another story")
	flags.DurationVar(&opts.live, "live", 0, "without the dashboard, go on with small payments for so long")
	flags.BoolVar(&opts.dashboard, "dashboard", true, "open the dashboard, on a terminal")
	return cmd
}

func demoRun(ctx context.Context, opts *demoOptions) error {
	a := opts.app
	if a.contextFlag != "" {
		return usagef("kizo demo makes the context %s: it takes no --context", demoContext)
	}
	config, err := a.config()
	if err != nil {
		return err
	}
	server := config.Server.Value
	if !isLoopback(server) {
		return withHint(usagef("kizo demo signs up users and makes payments: only on a kizod dev of this machine, not on %s", printable.Text(server)), "kizod dev")
	}
	if _, err := a.readContext(demoContext); err == nil {
		return withHint(usagef("there is a context %s already: its town is there, or remove it", demoContext),
			"kizo dashboard --context "+demoContext, "kizo context remove "+demoContext)
	}
	t := &town{app: a, server: server, password: rand.Text(), users: map[string]*client.Client{}, holds: map[string]client.Transfer{}, received: map[string]client.Transfer{}}
	if err := t.settle(ctx); err != nil {
		return err
	}
	if err := t.play(ctx, townStory(a.now(), opts.seed)); err != nil {
		return err
	}
	there, err := t.logIn(ctx)
	if err != nil {
		return err
	}
	made := &demoTown{demoContext, server, demoOwner, t.password, len(t.users), t.transfers}
	if err := a.printDone(opts.output, made, made.row(), func() {
		a.io.note("The town is ready: %d users, %d transfers. The context %s is @%s's; every user's password is %s.\nIts dashboard: kizo dashboard --context %s",
			made.Users, made.Transfers, demoContext, demoOwner, made.Password, demoContext)
	}); err != nil {
		return err
	}
	return t.goOn(ctx, opts, there)
}

// goOn makes small payments while the dashboard is open, or for the time of --live.
func (t *town) goOn(ctx context.Context, opts *demoOptions, there *app) error {
	shows := opts.dashboard && opts.output.format() == "" && opts.app.hasScreen()
	if !shows && opts.live <= 0 {
		return nil
	}
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	if !shows {
		ctx, stop = context.WithTimeout(ctx, opts.live)
		defer stop()
		t.live(ctx, opts.seed)
		return nil
	}
	var traffic sync.WaitGroup
	traffic.Go(func() { t.live(ctx, opts.seed) })
	defer traffic.Wait()
	defer stop()
	return dashboardRun(ctx, &dashboardOptions{app: there})
}

// town is the users of kizo demo while it runs.
type town struct {
	app              *app
	server, password string
	users            map[string]*client.Client
	holds, received  map[string]client.Transfer // the last ones, by the handle of the receiver
	transfers        int
}

// settle signs the residents up, and opens and fills their wallets.
func (t *town) settle(ctx context.Context) error {
	for i, r := range townResidents() {
		kizo, err := t.app.kizoAt(t.server, &sessionInMemory{})
		if err != nil {
			return err
		}
		first := r.wallets[0].currency
		_, err = kizo.SignUp(ctx, client.SignUp{Email: r.handle + "@linden.example", Handle: r.handle, Name: r.name, Password: t.password, Currency: &first})
		if err != nil {
			return withHint(fmt.Errorf("sign up @%s: %w", r.handle, err), "kizod dev --data NEW-DIRECTORY")
		}
		if i == 0 { // before it signs up more
			if _, err := kizo.Triggers(ctx); err != nil {
				return withHint(err, "kizod dev")
			}
		}
		t.users[r.handle] = kizo
		for _, w := range r.wallets {
			if _, err := kizo.OpenWallet(ctx, w.currency); err != nil {
				return err
			}
			if w.amount == 0 {
				continue
			}
			opening := "opening deposit"
			if err := t.send(ctx, r.handle, client.NewDeposit, client.BankTransferCreate{Amount: w.amount, Currency: w.currency, Memo: &opening}); err != nil {
				return err
			}
		}
	}
	return nil
}

// bankWait is how long a deposit waits for the bank. The payments that follow need its money.
const bankWait = 30 * time.Second

// send makes a deposit or a withdrawal, and waits for the bank.
func (t *town) send(ctx context.Context, who string, build func(string, client.BankTransferCreate) (client.Command, error), body client.BankTransferCreate) error {
	command, err := build(client.NewKey(), body)
	if err != nil {
		return err
	}
	command.Wait = bankWait
	_, err = t.users[who].Send(ctx, command)
	t.transfers++
	return err
}

// play makes the payments of a story, in order.
func (t *town) play(ctx context.Context, story []townStep) error {
	for _, step := range story {
		err := t.step(ctx, step)
		refused, isRefusal := errors.AsType[*client.Error](err)
		if isRefusal && step.kind == isRefused && refused.Code == client.InsufficientFunds {
			err = nil
		}
		if err != nil {
			return fmt.Errorf("@%s: %s: %w", step.who, step.memo, err)
		}
	}
	return nil
}

func (t *town) step(ctx context.Context, s townStep) error {
	kizo, key := t.users[s.who], client.NewKey()
	var command client.Command
	var err error
	switch s.kind {
	case withdraws:
		return t.send(ctx, s.who, client.NewWithdrawal, client.BankTransferCreate{Amount: s.amount, Currency: s.currency, Memo: &s.memo})
	case disputes:
		if err := kizo.ArmTrigger(ctx, client.TriggerArm{Event: "withdrawal.disputed", Amount: s.amount, Currency: s.currency}); err != nil {
			return err
		}
		command, err = client.NewWithdrawal(key, client.BankTransferCreate{Amount: s.amount, Currency: s.currency, Memo: &s.memo})
	case captures:
		command, err = client.NewCapture(key, t.holds[s.who].Id, &s.amount)
	case voids:
		command, err = client.NewVoid(key, t.holds[s.who].Id)
	case returns:
		command, err = client.NewReverse(key, t.received[s.who].Id, &s.amount)
	case pays, isRefused, authorizes:
		body := client.TransferCreate{To: s.to, Amount: s.amount, Currency: s.currency, Memo: &s.memo}
		if s.kind == authorizes {
			body.Authorize = new(true)
		}
		command, err = client.NewTransfer(key, body)
	}
	if err != nil {
		return err
	}
	receipt, err := kizo.Send(ctx, command)
	if s.kind != captures && s.kind != voids {
		t.transfers++
	}
	switch {
	case err != nil:
	case s.kind == authorizes:
		t.holds[s.to] = receipt.Transfer
	case s.kind == pays:
		t.received[s.to] = receipt.Transfer
	}
	return err
}

// logIn makes the context, and logs its user in. Without a session it leaves no context.
func (t *town) logIn(ctx context.Context) (*app, error) {
	content := "id = \"" + newContextID() + "\"\n"
	for _, s := range [][2]string{{"server", t.server}, {"user", demoOwner}, {"currency", townResidents()[0].wallets[0].currency}} {
		var err error
		if content, err = withSetting(content, s[0], s[1]); err != nil {
			return nil, err
		}
	}
	if err := t.app.createContext(demoContext, []byte(content)); err != nil {
		return nil, err
	}
	there := t.app.inContext(demoContext)
	there.authenticated = nil
	kizo, err := there.kizo()
	if err == nil {
		_, err = kizo.LogIn(ctx, demoOwner, t.password, "")
	}
	if err != nil {
		return nil, errors.Join(err, removeFile(t.app.contextPath(demoContext)))
	}
	return there, nil
}

// trafficPause is the time between two small payments.
const trafficPause = 4 * time.Second

// live makes small payments until ctx ends. A refused one, or one without an answer, is left out.
func (t *town) live(ctx context.Context, seed uint64) {
	random := mathrand.New(mathrand.NewPCG(seed, 0)) //nolint:gosec // it decides what is bought
	next := time.NewTicker(trafficPause)
	defer next.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-next.C:
			_ = t.step(ctx, townTraffic(random))
		}
	}
}

// sessionInMemory keeps the session of a user who is needed only while this process runs.
type sessionInMemory struct {
	mu   sync.Mutex
	held client.Credentials
}

// Load implements client.TokenStore.
func (s *sessionInMemory) Load(context.Context) (client.Credentials, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.held, nil
}

// Update implements client.TokenStore.
func (s *sessionInMemory) Update(_ context.Context, change func(client.Credentials) (client.Credentials, error)) (err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.held, err = change(s.held)
	return err
}

// Clear implements client.TokenStore.
func (s *sessionInMemory) Clear(context.Context) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.held = client.Credentials{}
	return nil
}
