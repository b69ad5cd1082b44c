package ledger

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/JDevAman/kizo/money"
	"github.com/JDevAman/kizo/server/failpoint"
	"github.com/JDevAman/kizo/server/ids"
	"github.com/JDevAman/kizo/server/problem"
)

// balanceLimit is exclusive: 2^53, beyond which JSON numbers are not exact.
const balanceLimit int64 = 1 << 53

type accountKind string

const (
	wallet   accountKind = "wallet"
	clearing accountKind = "clearing" // the other account of every deposit and withdrawal
)

// Status of an account. A frozen account takes part in no new transfer, on either side. Earlier
// authorizations may still be captured or voided, and earlier bank transfers are still settled.
type Status string

// The values of Status.
const (
	Active Status = "active"
	Frozen Status = "frozen"
)

// AccountID is the id of an account in the tables. 0 stands for an account that does not exist.
// Users see the public id of their wallets instead.
type AccountID int64

// UserID is the id of a user, who owns wallets. The ledger knows nothing else of users.
type UserID = ids.UserID

// rawIDs converts account ids to a type that pgx encodes without reflection.
func rawIDs(accounts []AccountID) []int64 {
	raw := make([]int64, len(accounts))
	for i, id := range accounts {
		raw[i] = int64(id)
	}
	return raw
}

// Wallet is a user's account in one currency. Amounts are minor units.
type Wallet struct {
	ID       uuid.UUID
	Owner    UserID
	Currency money.Currency
	Balance  int64 // posted
	Held     int64 // reserved by pending transfers
	Status   Status
}

// Available is what the owner can spend, in minor units.
func (w Wallet) Available() int64 { return w.Balance - w.Held }

// account is a row of accounts that a batch has locked.
type account struct {
	id       AccountID
	owner    UserID // nil UUID for a system account
	currency money.Currency
	kind     accountKind
	balance  int64
	held     int64
	seq      int64
	floor    *int64
	status   Status
	asOf     time.Time
	limited  bool // has had a limit of its owner; see walletlimits.go
	changed  bool
}

// covers reports whether amount may leave the account. An account without a floor may go below
// zero.
func (a *account) covers(amount int64) bool {
	return a.floor == nil || a.balance-a.held-*a.floor >= amount
}

// fits reports whether the balance stays within balanceLimit if amount is added to it.
func (a *account) fits(amount int64) bool {
	after := a.balance + amount // |balance| < 2^53 and |amount| ≤ 10^15: no overflow
	return after < balanceLimit && after > -balanceLimit
}

const walletColumns = `public_id, owner, currency, balance, held, status`

func scanWallet(row pgx.CollectableRow) (Wallet, error) {
	var w Wallet
	err := row.Scan(&w.ID, &w.Owner, &w.Currency, &w.Balance, &w.Held, &w.Status)
	return w, err
}

// OpenWallet opens a wallet in a currency for owner, or returns the existing one. The wallet of a
// frozen owner is frozen.
func (l *Ledger) OpenWallet(ctx context.Context, owner UserID, c money.Currency) (Wallet, error) {
	const open = `INSERT INTO accounts (public_id, owner, currency, kind, floor)
		VALUES ($1, $2, $3, 'wallet', 0)
		ON CONFLICT (owner, currency) WHERE owner IS NOT NULL DO NOTHING`
	if !c.Known() {
		return Wallet{}, problem.New(CurrencyUnknown, "that is not an ISO 4217 currency code: type one such as USD, EUR or JPY")
	}
	id, err := uuid.NewV7()
	if err != nil {
		return Wallet{}, fmt.Errorf("make a wallet id: %w", err)
	}
	if _, err := l.pool.Exec(ctx, open, id, owner, c); err != nil {
		return Wallet{}, unavailable("open the wallet", err)
	}
	if err := failpoint.Point("ledger.wallet_opened"); err != nil {
		return Wallet{}, unavailable("open the wallet", err)
	}
	return l.Wallet(ctx, owner, c)
}

// Wallet returns the owner's wallet in a currency. It fails with WalletNotFound if there is none.
func (l *Ledger) Wallet(ctx context.Context, owner UserID, c money.Currency) (Wallet, error) {
	const find = `SELECT ` + walletColumns + ` FROM accounts WHERE owner = $1 AND currency = $2`
	rows, err := l.pool.Query(ctx, find, owner, c)
	if err != nil {
		return Wallet{}, unavailable("read the wallet", err)
	}
	w, err := pgx.CollectExactlyOneRow(rows, scanWallet)
	if errors.Is(err, pgx.ErrNoRows) {
		return Wallet{}, problem.Errorf(WalletNotFound, "you have no %s wallet", c)
	}
	if err != nil {
		return Wallet{}, unavailable("read the wallet", err)
	}
	return w, nil
}

// Wallets returns all wallets of the owner, oldest first.
func (l *Ledger) Wallets(ctx context.Context, owner UserID) ([]Wallet, error) {
	const list = `SELECT ` + walletColumns + ` FROM accounts WHERE owner = $1 ORDER BY id`
	rows, err := l.pool.Query(ctx, list, owner)
	if err != nil {
		return nil, unavailable("read the wallets", err)
	}
	wallets, err := pgx.CollectRows(rows, scanWallet)
	if err != nil {
		return nil, unavailable("read the wallets", err)
	}
	return wallets, nil
}

// WalletRef is the owner and the currency of a wallet.
type WalletRef struct {
	Owner    UserID
	Currency money.Currency
}

// WalletOwners returns the owner and the currency of each wallet with one of these public ids.
// Unknown ids are missing from the result.
func (l *Ledger) WalletOwners(ctx context.Context, ids []uuid.UUID) (map[uuid.UUID]WalletRef, error) {
	const find = `SELECT public_id, owner, currency FROM accounts WHERE public_id = ANY($1) AND kind = 'wallet'`
	raw := make([][16]byte, len(ids))
	for i, id := range ids {
		raw[i] = id
	}
	rows, err := l.pool.Query(ctx, find, raw)
	if err != nil {
		return nil, unavailable("find the wallets", err)
	}
	var (
		id  uuid.UUID
		ref WalletRef
	)
	found := make(map[uuid.UUID]WalletRef, len(ids))
	_, err = pgx.ForEachRow(rows, []any{&id, &ref.Owner, &ref.Currency}, func() error {
		found[id] = ref
		return nil
	})
	if err != nil {
		return nil, unavailable("find the wallets", err)
	}
	return found, nil
}

// HaveWallets reports which of the users have a wallet in a currency.
func (l *Ledger) HaveWallets(ctx context.Context, owners []UserID, c money.Currency) (map[UserID]bool, error) {
	keys := make([]walletKey, len(owners))
	for i, owner := range owners {
		keys[i] = walletKey{owner, c}
	}
	ids, err := l.walletIDs(ctx, keys)
	if err != nil {
		return nil, err
	}
	have := make(map[UserID]bool, len(ids))
	for key := range ids {
		have[key.owner] = true
	}
	return have, nil
}

// Owners maps the ids of wallets to their owners. System accounts are left out. The result is
// cached, since the owner of an account never changes.
func (l *Ledger) Owners(ctx context.Context, accounts []AccountID) (map[AccountID]UserID, error) {
	const find = `SELECT id, COALESCE(owner, '00000000-0000-0000-0000-000000000000') FROM accounts WHERE id = ANY($1)`
	owners := make(map[AccountID]UserID, len(accounts))
	add := func(account AccountID, owner UserID) {
		if !owner.IsZero() {
			owners[account] = owner
		}
	}
	var unknown []AccountID
	for _, account := range accounts {
		if owner, ok := l.owners.Get(account); ok {
			add(account, owner)
		} else if account != 0 {
			unknown = append(unknown, account)
		}
	}
	if len(unknown) == 0 {
		return owners, nil
	}
	rows, err := l.pool.Query(ctx, find, rawIDs(unknown))
	if err != nil {
		return nil, unavailable("find the owners", err)
	}
	var (
		id    AccountID
		owner UserID
	)
	_, err = pgx.ForEachRow(rows, []any{(*int64)(&id), &owner}, func() error {
		l.owners.Put(id, owner)
		add(id, owner)
		return nil
	})
	if err != nil {
		return nil, unavailable("find the owners", err)
	}
	return owners, nil
}

// SetStatus freezes or reactivates all wallets of a user, including those that the user opens
// later, for an operator: the user cannot lift a freeze that it makes. When it returns, no transfer
// that the new status forbids is in progress. It fails with AccountClosed if the user has closed
// the account.
func (l *Ledger) SetStatus(ctx context.Context, owner UserID, s Status) error {
	// A trigger copies the status to the accounts; see migrations/0001_ledger.sql.
	const set = `INSERT INTO account_owners (owner, status) VALUES ($1, $2)
		ON CONFLICT (owner) DO UPDATE SET status = excluded.status, frozen_by_owner = false WHERE account_owners.closed_at IS NULL`
	return l.setOwner(ctx, set, owner, s)
}

// FreezeOwn is SetStatus(Frozen) by the user, who can lift it with UnfreezeOwn, unless an operator
// has frozen the wallets before or does later.
func (l *Ledger) FreezeOwn(ctx context.Context, owner UserID) error {
	const freeze = `INSERT INTO account_owners (owner, status, frozen_by_owner) VALUES ($1, 'frozen', true)
		ON CONFLICT (owner) DO UPDATE SET status = 'frozen', frozen_by_owner = account_owners.status <> 'frozen' OR account_owners.frozen_by_owner
		WHERE account_owners.closed_at IS NULL`
	return l.setOwner(ctx, freeze, owner)
}

func (l *Ledger) setOwner(ctx context.Context, statement string, args ...any) error {
	tag, err := l.pool.Exec(ctx, statement, args...)
	if err != nil {
		return unavailable("set the status of the owner", err)
	}
	if tag.RowsAffected() == 0 {
		return accountClosed()
	}
	return nil
}

// UnfreezeOwn lifts the freeze that the user has made, and reports whether there was one. It fails
// with AccountFrozen if an operator has frozen the wallets.
func (l *Ledger) UnfreezeOwn(ctx context.Context, owner UserID) (lifted bool, err error) {
	const lift = `UPDATE account_owners SET status = 'active', frozen_by_owner = false
		WHERE owner = $1 AND status = 'frozen' AND frozen_by_owner AND closed_at IS NULL`
	tag, err := l.pool.Exec(ctx, lift, owner)
	if err != nil {
		return false, unavailable("set the status of the owner", err)
	}
	if tag.RowsAffected() > 0 {
		return true, nil
	}
	frozen, err := l.IsFrozen(ctx, owner)
	if err == nil && frozen {
		err = problem.New(AccountFrozen, "an operator has frozen the account: only an operator lifts that")
	}
	return false, err
}

// IsFrozen reports whether the wallets of a user are frozen, also before the user has one.
func (l *Ledger) IsFrozen(ctx context.Context, owner UserID) (frozen bool, err error) {
	const find = `SELECT EXISTS (SELECT FROM account_owners WHERE owner = $1 AND status = 'frozen')`
	if err := l.pool.QueryRow(ctx, find, owner).Scan(&frozen); err != nil {
		return false, unavailable("read the status of the owner", err)
	}
	return frozen, nil
}

type walletKey struct {
	owner    UserID
	currency money.Currency
}

// walletID returns the account of a wallet, or 0 if there is none. Accounts are cached, since they
// never change.
func (l *Ledger) walletID(ctx context.Context, owner UserID, c money.Currency) (AccountID, error) {
	const find = `SELECT id FROM accounts WHERE owner = $1 AND currency = $2`
	key := walletKey{owner, c}
	if id, ok := l.accountIDs.Get(key); ok {
		return id, nil
	}
	var id AccountID
	err := l.pool.QueryRow(ctx, find, owner, c).Scan(&id)
	if errors.Is(err, pgx.ErrNoRows) {
		return 0, nil
	}
	if err != nil {
		return 0, unavailable("find the wallet", err)
	}
	l.accountIDs.Put(key, id)
	return id, nil
}

// walletIDs returns the accounts of wallets, with at most one query. Users without a wallet are
// missing from the result.
func (l *Ledger) walletIDs(ctx context.Context, wallets []walletKey) (map[walletKey]AccountID, error) {
	const find = `SELECT owner, currency, id FROM accounts
		WHERE owner IS NOT NULL AND owner = ANY($1) AND currency = ANY($2)`
	found := make(map[walletKey]AccountID, len(wallets))
	var (
		owners     [][16]byte
		currencies []string
	)
	for _, key := range wallets {
		if id, ok := l.accountIDs.Get(key); ok {
			found[key] = id
			continue
		}
		owners = append(owners, key.owner)
		if code := string(key.currency); !slices.Contains(currencies, code) {
			currencies = append(currencies, code)
		}
	}
	if len(owners) == 0 {
		return found, nil
	}
	rows, err := l.pool.Query(ctx, find, owners, currencies)
	if err != nil {
		return nil, unavailable("find the wallets", err)
	}
	var (
		key walletKey
		id  AccountID
	)
	_, err = pgx.ForEachRow(rows, []any{&key.owner, &key.currency, &id}, func() error {
		found[key] = id
		l.accountIDs.Put(key, id)
		return nil
	})
	if err != nil {
		return nil, unavailable("find the wallets", err)
	}
	return found, nil
}

// systemAccount returns the system account of a kind and currency. It creates the account at its
// first use.
func (l *Ledger) systemAccount(ctx context.Context, kind accountKind, c money.Currency) (AccountID, error) {
	const (
		find = `SELECT id FROM accounts WHERE owner IS NULL AND kind = $1 AND currency = $2`
		open = `INSERT INTO accounts (public_id, currency, kind) VALUES ($1, $2, $3)
			ON CONFLICT (kind, currency) WHERE owner IS NULL DO NOTHING`
	)
	key := walletKey{systemOwner(kind), c}
	if id, ok := l.accountIDs.Get(key); ok {
		return id, nil
	}
	publicID, err := uuid.NewV7()
	if err != nil {
		return 0, fmt.Errorf("make an account id: %w", err)
	}
	if _, err := l.pool.Exec(ctx, open, publicID, c, kind); err != nil {
		return 0, unavailable("open the system account", err)
	}
	if err := failpoint.Point("ledger.system_account_opened"); err != nil {
		return 0, unavailable("open the system account", err)
	}
	var id AccountID
	if err := l.pool.QueryRow(ctx, find, kind, c).Scan(&id); err != nil {
		return 0, unavailable("find the system account", err)
	}
	l.accountIDs.Put(key, id)
	return id, nil
}

// systemOwner returns the id that takes the place of an owner of a system account in the cache of
// account ids. No user has it, since it is not a version 7 UUID.
func systemOwner(kind accountKind) UserID {
	return UserID(uuid.NewSHA1(uuid.Nil, []byte(kind)))
}
