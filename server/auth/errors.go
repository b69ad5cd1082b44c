package auth

import (
	"errors"
	"time"
)

// Codes of an [Error]. They are part of the public contract: never rename one.
const (
	CodeInvalidCredentials  = "invalid_credentials"
	CodeAccountSuspended    = "account_suspended"
	CodeEmailTaken          = "email_taken"
	CodeHandleTaken         = "handle_taken"
	CodeEmailMalformed      = "email_malformed"
	CodeHandleMalformed     = "handle_malformed"
	CodeNameMalformed       = "name_malformed"
	CodeHandleReserved      = "handle_reserved"
	CodeNameReserved        = "name_reserved"
	CodePasswordTooShort    = "password_too_short"
	CodePasswordTooLong     = "password_too_long"
	CodePasswordMalformed   = "password_malformed"
	CodePasswordTooCommon   = "password_too_common"
	CodePasswordPersonal    = "password_personal"
	CodeTokenInvalid        = "token_invalid"
	CodeTokenExpired        = "token_expired"
	CodeSessionRevoked      = "session_revoked"
	CodeRefreshTokenInvalid = "refresh_token_invalid"
	CodeRefreshTokenReused  = "refresh_token_reused"
	CodeUserNotFound        = "user_not_found"
	CodeSessionNotFound     = "session_not_found"
	CodeOverloaded          = "overloaded"
	CodeTooManyAttempts     = "too_many_attempts"
	CodeTooManyLookUps      = "too_many_lookups"
)

// Codes lists every code that an [Error] of this package can carry.
func Codes() []string {
	return []string{
		CodeInvalidCredentials, CodeAccountSuspended,
		CodeEmailTaken, CodeHandleTaken,
		CodeEmailMalformed, CodeHandleMalformed, CodeNameMalformed, CodeHandleReserved, CodeNameReserved,
		CodePasswordTooShort, CodePasswordTooLong, CodePasswordMalformed,
		CodePasswordTooCommon, CodePasswordPersonal,
		CodeTokenInvalid, CodeTokenExpired, CodeSessionRevoked,
		CodeRefreshTokenInvalid, CodeRefreshTokenReused,
		CodeUserNotFound, CodeSessionNotFound,
		CodeOverloaded, CodeTooManyAttempts, CodeTooManyLookUps,
	}
}

// Error is a refusal: Code is for programs, Message for people, and Field names
// the input at fault, if one is.
type Error struct {
	Code    string
	Message string
	Field   string
	// RetryAfter is when it is worth to ask again; 0 if it is not a matter of time.
	RetryAfter time.Duration

	cause error
}

func (e *Error) Error() string { return e.Code + ": " + e.Message }

// Unwrap returns the finer reason, where the code deliberately hides it from
// the outside: why a refresh token was refused.
func (e *Error) Unwrap() error { return e.cause }

// CodeOf returns the code of the [Error] in err's chain, or "" if there is none.
func CodeOf(err error) string {
	var refusal *Error
	if errors.As(err, &refusal) {
		return refusal.Code
	}
	return ""
}

// Why a refresh token was refused. The public code of the first three is
// refresh_token_invalid: a stranger who tries tokens learns nothing from it.
var (
	ErrRefreshUnknown = errors.New("no such refresh token")
	ErrRefreshExpired = errors.New("refresh token expired")
	ErrRefreshRevoked = errors.New("session of the refresh token was revoked")
	ErrRefreshReused  = errors.New("refresh token was used before")
)

func refreshRefused(why error) *Error {
	if errors.Is(why, ErrRefreshReused) {
		return &Error{
			Code:    CodeRefreshTokenReused,
			Message: "this refresh token was used before, so its session was ended; log in again",
			cause:   why,
		}
	}
	return &Error{
		Code:    CodeRefreshTokenInvalid,
		Message: "the session has ended; log in again",
		cause:   why,
	}
}

func errInvalidCredentials() *Error {
	return &Error{Code: CodeInvalidCredentials, Message: "the login or the password is wrong"}
}

func errSuspended() *Error {
	return &Error{Code: CodeAccountSuspended, Message: "this account is suspended"}
}

func errUserNotFound() *Error {
	return &Error{Code: CodeUserNotFound, Message: "there is no such user"}
}

func errTokenInvalid(cause error) *Error {
	return &Error{Code: CodeTokenInvalid, Message: "the access token is not valid", cause: cause}
}
