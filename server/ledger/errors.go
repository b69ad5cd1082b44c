package ledger

import (
	"fmt"

	"github.com/JDevAman/kizo/server/problem"
)

// Refusals are outcomes: they are stored with the transfer, and the same key is
// refused again with the same code.
const (
	InsufficientFunds       problem.Code = "insufficient_funds"
	AccountFrozen           problem.Code = "account_frozen"
	BalanceLimit            problem.Code = "balance_limit"
	PayeeWalletMissing      problem.Code = "payee_wallet_missing"
	AuthorizationExpired    problem.Code = "authorization_expired"
	TransferNotPending      problem.Code = "transfer_not_pending"
	TransferNotReversible   problem.Code = "transfer_not_reversible"
	CaptureExceedsHold      problem.Code = "capture_exceeds_hold"
	ReversalExceedsTransfer problem.Code = "reversal_exceeds_transfer"
	LimitExceeded           problem.Code = "limit_exceeded"
	BatchRefused            problem.Code = "batch_refused" // another transfer of an atomic batch was refused
)

// These errors store nothing.
const (
	AmountOutOfRange    problem.Code = "amount_out_of_range"
	CurrencyUnknown     problem.Code = "currency_unknown"
	MemoMalformed       problem.Code = "memo_malformed"
	TagsMalformed       problem.Code = "tags_malformed"
	ExpiryOutOfRange    problem.Code = "expiry_out_of_range"
	KeyMalformed        problem.Code = "idempotency_key_malformed"
	KeyReused           problem.Code = "idempotency_key_reused"
	PayeeIsSelf         problem.Code = "payee_is_self"
	WalletNotFound      problem.Code = "wallet_not_found"
	TransferNotFound    problem.Code = "transfer_not_found"
	Forbidden           problem.Code = "forbidden" // the cause is a *NotReceiverError
	TimeInFuture        problem.Code = "time_in_future"
	CursorMalformed     problem.Code = "parameter_malformed"
	TooManyStreams      problem.Code = "too_many_streams"
	OutcomeUnknown      problem.Code = "outcome_unknown" // ask again with the same key
	Unavailable         problem.Code = "unavailable"     // nothing was done
	Fenced              problem.Code = "fenced"          // another worker has taken the payment over
	SettlementConflicts problem.Code = "settlement_conflicts"
	NoSignedAudit       problem.Code = "no_signed_audit"
	AccountNotEmpty     problem.Code = "account_not_empty" // it cannot be closed
	AccountClosed       problem.Code = "account_closed"
	Internal            problem.Code = "internal" // the database rejected the command: a defect of Kizo
)

// Codes lists every code that can reach a caller of the API, for the test that
// compares it with the contract.
func Codes() []problem.Code {
	return []problem.Code{
		InsufficientFunds, AccountFrozen, BalanceLimit, PayeeWalletMissing, AuthorizationExpired,
		TransferNotPending, TransferNotReversible, CaptureExceedsHold, ReversalExceedsTransfer, LimitExceeded, BatchRefused,
		AmountOutOfRange, CurrencyUnknown, MemoMalformed, TagsMalformed, ExpiryOutOfRange, KeyMalformed, KeyReused,
		PayeeIsSelf, WalletNotFound, TransferNotFound, Forbidden, TimeInFuture, CursorMalformed,
		TooManyStreams, OutcomeUnknown, Unavailable, Internal, AccountNotEmpty, AccountClosed,
	}
}

// Refusal is the error of a command that broke a rule. It is stored with its transfer, so
// the same idempotency key is refused again. It wraps a [problem.Error].
type Refusal struct {
	Transfer Transfer // as it is stored
	Replayed bool     // the refusal was decided earlier, under the same key
	problem  problem.Error
}

// Error returns the text of the wrapped error.
func (r *Refusal) Error() string { return r.problem.Error() }

// Unwrap returns the wrapped *[problem.Error].
func (r *Refusal) Unwrap() error { return &r.problem }

// unavailable wraps a failure of the database on a path that writes nothing, or
// nothing that the caller could be unsure of.
func unavailable(doing string, cause error) *problem.Error {
	return &problem.Error{Code: Unavailable, Message: "could not " + doing, Cause: cause}
}

// NotReceiverError is the cause of Forbidden: a user who is not the receiver of a transfer has
// asked to capture, void or reverse it.
type NotReceiverError struct {
	Target   Transfer
	Receiver UserID // nil UUID if the bank receives the money, or the payee has no wallet
}

func (e *NotReceiverError) Error() string {
	return fmt.Sprintf("the receiver of transfer %s is user %s", e.Target.ID, e.Receiver)
}

func refusalText(code problem.Code) string {
	switch code {
	case InsufficientFunds:
		return "the wallet does not hold that much that is free to spend"
	case AccountFrozen:
		return "your wallet or that of the other user is frozen"
	case BalanceLimit:
		return "the receiving wallet cannot hold that much"
	case PayeeWalletMissing:
		return "the payee has no wallet in this currency"
	case AuthorizationExpired:
		return "the authorization has expired"
	case TransferNotPending:
		return "the transfer is not an open authorization"
	case TransferNotReversible:
		return "only a posted transfer between wallets can be reversed"
	case CaptureExceedsHold:
		return "the amount is more than the authorization holds"
	case ReversalExceedsTransfer:
		return "the amount is more than is left of the transfer"
	case LimitExceeded:
		return "a spending limit did not allow the transfer"
	case BatchRefused:
		return "another transfer of the batch was refused, and the batch is all or nothing"
	default:
		return "the transfer was refused"
	}
}

// frozenText says which of the two wallets of a refused transfer is frozen, and what to do. A
// refusal that is read again under its key says only that one was.
func frozenText(owner UserID, debit, credit *account) string {
	for _, a := range [...]*account{debit, credit} {
		if a.status == Frozen && a.owner == owner {
			return "your account is frozen, so no money moves from or to it: lift your own freeze with kizo unfreeze-me, or ask an operator of the server"
		}
	}
	return "the account of the other user is frozen, so it can neither pay nor be paid: ask that person"
}
