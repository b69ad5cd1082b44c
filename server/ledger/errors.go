package ledger

import "fmt"

// Code is the stable name of what went wrong; API and command line show it.
type Code string

// Refusals are outcomes: they are stored with the transfer, and the same key is
// refused again with the same code.
const (
	InsufficientFunds       Code = "insufficient_funds"
	AccountFrozen           Code = "account_frozen"
	BalanceLimit            Code = "balance_limit"
	PayeeWalletMissing      Code = "payee_wallet_missing"
	AuthorizationExpired    Code = "authorization_expired"
	TransferNotPending      Code = "transfer_not_pending"
	TransferNotReversible   Code = "transfer_not_reversible"
	CaptureExceedsHold      Code = "capture_exceeds_hold"
	ReversalExceedsTransfer Code = "reversal_exceeds_transfer"
)

// Everything else leaves nothing behind.
const (
	AmountOutOfRange    Code = "amount_out_of_range"
	CurrencyUnknown     Code = "currency_unknown"
	MemoMalformed       Code = "memo_malformed"
	ExpiryOutOfRange    Code = "expiry_out_of_range"
	KeyMalformed        Code = "idempotency_key_malformed"
	KeyReused           Code = "idempotency_key_reused"
	PayeeIsSelf         Code = "payee_is_self"
	WalletNotFound      Code = "wallet_not_found"
	TransferNotFound    Code = "transfer_not_found"
	TimeInFuture        Code = "time_in_future"
	CursorMalformed     Code = "parameter_malformed"
	TooManyStreams      Code = "too_many_streams"
	OutcomeUnknown      Code = "outcome_unknown" // ask again with the same key
	Unavailable         Code = "unavailable"     // nothing was done
	Fenced              Code = "fenced"          // somebody else has taken the payment over
	SettlementConflicts Code = "settlement_conflicts"
	Internal            Code = "internal" // the database would not have it: a defect of ours
)

// Codes lists every code that can reach a caller of the API, for the test that
// compares it with the contract.
func Codes() []Code {
	return []Code{
		InsufficientFunds, AccountFrozen, BalanceLimit, PayeeWalletMissing, AuthorizationExpired,
		TransferNotPending, TransferNotReversible, CaptureExceedsHold, ReversalExceedsTransfer,
		AmountOutOfRange, CurrencyUnknown, MemoMalformed, ExpiryOutOfRange, KeyMalformed, KeyReused,
		PayeeIsSelf, WalletNotFound, TransferNotFound, TimeInFuture, CursorMalformed,
		TooManyStreams, OutcomeUnknown, Unavailable, Internal,
	}
}

// Error says why a command was not carried out, or a question not answered.
type Error struct {
	Code    Code
	Message string // for people; holds no text that came from others
	// Transfer is the stored refusal, where this error is one.
	Transfer *Transfer
	// Replayed: the refusal was decided earlier under the same key.
	Replayed bool
	cause    error
}

func (e *Error) Error() string {
	if e.cause != nil {
		return fmt.Sprintf("%s: %s: %v", e.Code, e.Message, e.cause)
	}
	return fmt.Sprintf("%s: %s", e.Code, e.Message)
}

func (e *Error) Unwrap() error { return e.cause }

func fail(code Code, format string, args ...any) *Error {
	return &Error{Code: code, Message: fmt.Sprintf(format, args...)}
}

// unavailable wraps a failure of the database on a path that writes nothing, or
// nothing that the caller could be unsure of.
func unavailable(doing string, cause error) *Error {
	return &Error{Code: Unavailable, Message: "could not " + doing, cause: cause}
}
