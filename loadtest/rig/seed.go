package rig

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/JDevAman/kizo/money"
	"github.com/JDevAman/kizo/server/auth"
	"github.com/JDevAman/kizo/server/bank"
	"github.com/JDevAman/kizo/server/ledger"
)

// User is one of the users that send requests.
type User struct {
	ID           auth.UserID `json:"id"`
	Handle       string      `json:"handle"`
	Email        string      `json:"email"`
	Password     string      `json:"password"`
	AccessToken  string      `json:"access_token"`
	RefreshToken string      `json:"refresh_token"`
	Expires      time.Time   `json:"expires"` // of the access token
}

const (
	signUpsAtOnce  = 2 // each uses one CPU
	depositsAtOnce = 128
)

// Seed makes n users as kizod does, Argon2 and all (about 50 a second on two
// cores), each with a USD wallet and funds minor units in it, which come from the bank:
// the deposit is opened in the ledger, executed by the mock bank, and settled. So the
// bank's statement and the clearing account agree. Access tokens are valid for 15 minutes:
// see [Rig.Refresh]. A later Seed makes further users.
func (r *Rig) Seed(ctx context.Context, n int, funds int64) ([]User, error) {
	service, err := r.auth()
	if err != nil {
		return nil, err
	}
	began := time.Now()
	users := make([]User, n)
	var done atomic.Int64
	first := r.seeded
	err = Parallel(ctx, signUpsAtOnce, n, func(ctx context.Context, i int) (err error) {
		if users[i], err = signUp(ctx, service, first+i); err == nil && done.Add(1)%1000 == 0 {
			r.note("%d of %d users signed up", done.Load(), n)
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	if err := r.fund(ctx, users, money.Amount{Minor: funds, Currency: "USD"}); err != nil {
		return nil, err
	}
	r.seeded += n
	r.note("%d users seeded in %.1f s", n, time.Since(began).Seconds())
	return users, nil
}

func (r *Rig) auth() (*auth.Service, error) {
	keys, err := r.secrets.Keys()
	if err != nil {
		return nil, err
	}
	peppers, err := r.secrets.Peppers()
	if err != nil {
		return nil, err
	}
	return auth.New(auth.Config{Pool: r.pool, Keys: keys, Peppers: peppers})
}

func signUp(ctx context.Context, service *auth.Service, number int) (User, error) {
	u := User{Handle: fmt.Sprintf("load_%06d", number), Password: fmt.Sprintf("load and order, no. %d", number)}
	u.Email = u.Handle + "@example.com"
	began := time.Now()
	tokens, made, err := service.SignUp(ctx, auth.SignUpInput{
		Email: u.Email, Handle: u.Handle, Name: fmt.Sprintf("Load %d", number), Password: u.Password,
	})
	if err != nil {
		return User{}, fmt.Errorf("sign up user %d: %w", number, err)
	}
	u.ID = made.ID
	u.keep(tokens, began)
	return u, nil
}

func (u *User) keep(t auth.Tokens, asked time.Time) {
	u.AccessToken, u.RefreshToken, u.Expires = t.AccessToken, t.RefreshToken, asked.Add(t.ExpiresIn)
}

// fund opens the wallets and makes the deposits, many at once so that the ledger
// commits them in batches.
func (r *Rig) fund(ctx context.Context, users []User, amount money.Amount) error {
	// Most users have a verified e-mail address; a log-in by one costs one hash.
	if err := Execute(ctx, r.AdminURL(), `UPDATE users SET email_verified_at = now() WHERE email_verified_at IS NULL`); err != nil {
		return fmt.Errorf("verify the e-mail addresses: %w", err)
	}
	books := ledger.Open(ledger.Config{Pool: r.pool})
	defer func() { _ = books.Close(context.WithoutCancel(ctx)) }() // the queue is empty
	client, err := bank.NewClient(bank.ClientConfig{URL: r.bankURL, Token: bankToken})
	if err != nil {
		return err
	}
	defer client.Close()
	err = Parallel(ctx, depositsAtOnce, len(users), func(ctx context.Context, i int) error {
		if _, err := books.OpenWallet(ctx, users[i].ID, amount.Currency); err != nil {
			return err
		}
		return deposit(ctx, books, client, users[i].ID, amount)
	})
	if err != nil {
		return fmt.Errorf("make the deposits: %w", err)
	}
	return r.WaitSettled(ctx) // for the payments that the running kizod has claimed
}

const depositTries = 10

// deposit makes a deposit with any preset of the bank: it opens another one after a
// rejection, and submits the same one again where the bank does not answer.
func deposit(ctx context.Context, books *ledger.Ledger, client *bank.Client, owner ledger.UserID, amount money.Amount) error {
	for try := range depositTries {
		opened, err := books.OpenDeposit(ctx, ledger.TransferRequest{Owner: owner, Key: fmt.Sprintf("seed-%d", try), Amount: amount})
		if err != nil {
			return err
		}
		id := opened.Transfer.ID
		order := bank.Instruction{Ref: id.String(), Direction: bank.Deposit, Amount: amount.Minor, Currency: string(amount.Currency)}
		answer, err := client.Submit(ctx, order)
		for again := 1; again < depositTries && (err != nil || answer.Outcome == bank.Unknown); again++ {
			answer, err = client.Submit(ctx, order)
		}
		if err != nil || answer.Outcome == bank.Unknown {
			return fmt.Errorf("the bank does not report the outcome of %s: %w", id, errors.Join(err, ctx.Err()))
		}
		executed := answer.Outcome == bank.Executed
		_, err = books.Settle(ctx, ledger.Settlement{Transfer: id, Executed: executed})
		if errors.Is(err, ledger.Fenced) {
			err = nil // kizod has claimed it, and gets the same answer of the bank
		}
		if err != nil || executed {
			return err
		}
	}
	return fmt.Errorf("the bank rejected %d deposits", depositTries)
}

// Refresh renews the access tokens that expire within this time, in place, which hashes
// no password. The refresh tokens must not be used by others at the same time.
func (r *Rig) Refresh(ctx context.Context, users []User, within time.Duration) error {
	service, err := r.auth()
	if err != nil {
		return err
	}
	return Parallel(ctx, 4, len(users), func(ctx context.Context, i int) error {
		now := time.Now()
		if users[i].Expires.Sub(now) > within {
			return nil
		}
		tokens, _, err := service.Refresh(ctx, users[i].RefreshToken, auth.Client{})
		if err != nil {
			return fmt.Errorf("refresh the token of %s: %w", users[i].Handle, err)
		}
		users[i].keep(tokens, now)
		return nil
	})
}

// Parallel calls work for 0 to n-1, in so many goroutines, and stops at the first error.
func Parallel(ctx context.Context, workers, n int, work func(ctx context.Context, i int) error) error {
	group, working := errgroup.WithContext(ctx)
	group.SetLimit(workers)
	for i := 0; i < n && working.Err() == nil; i++ {
		group.Go(func() error { return work(working, i) })
	}
	if err := group.Wait(); err != nil {
		return err
	}
	return ctx.Err()
}
