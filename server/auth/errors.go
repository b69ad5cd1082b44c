package auth

import (
	"errors"

	"github.com/JDevAman/kizo/server/problem"
)

// Codes of a [problem.Error]. They are part of the public contract: never rename one.
const (
	CodeInvalidCredentials problem.Code = "invalid_credentials"
	CodeAccountSuspended   problem.Code = "account_suspended"
	CodeEmailTaken         problem.Code = "email_taken"
	CodeHandleTaken        problem.Code = "handle_taken"
	CodeHandleUnchanged    problem.Code = "handle_unchanged"

	CodeTooManyHandleChanges problem.Code = "too_many_handle_changes"

	CodeApprovalNotFound problem.Code = "approval_not_found"
	CodeApprovalDecided  problem.Code = "approval_decided"
	CodeOwnRequest       problem.Code = "own_request"
	CodeOwnAccount       problem.Code = "own_account"

	CodeEmailMalformed      problem.Code = "email_malformed"
	CodeHandleMalformed     problem.Code = "handle_malformed"
	CodeNameMalformed       problem.Code = "name_malformed"
	CodeHandleReserved      problem.Code = "handle_reserved"
	CodeNameReserved        problem.Code = "name_reserved"
	CodePasswordTooShort    problem.Code = "password_too_short"
	CodePasswordTooLong     problem.Code = "password_too_long"
	CodePasswordMalformed   problem.Code = "password_malformed"
	CodePasswordTooCommon   problem.Code = "password_too_common"
	CodePasswordPersonal    problem.Code = "password_personal"
	CodePasswordUnchanged   problem.Code = "password_unchanged"
	CodeResetCodeInvalid    problem.Code = "reset_code_invalid"
	CodeEmailCodeInvalid    problem.Code = "email_code_invalid"
	CodeOTPRequired         problem.Code = "otp_required"
	CodeOTPInvalid          problem.Code = "otp_invalid"
	CodeStepUpRequired      problem.Code = "step_up_required"
	CodeSecondFactorExists  problem.Code = "second_factor_exists"
	CodeSecondFactorMissing problem.Code = "second_factor_missing"
	CodeTokenInvalid        problem.Code = "token_invalid"
	CodeTokenExpired        problem.Code = "token_expired"
	CodeSessionRevoked      problem.Code = "session_revoked"
	CodeRefreshTokenInvalid problem.Code = "refresh_token_invalid"
	CodeRefreshTokenReused  problem.Code = "refresh_token_reused"
	CodeUserNotFound        problem.Code = "user_not_found"
	CodeSessionNotFound     problem.Code = "session_not_found"
	CodeOverloaded          problem.Code = "overloaded"
	CodeTooManyAttempts     problem.Code = "too_many_attempts"
	CodeTooManyLookUps      problem.Code = "too_many_lookups"
	CodeUserCodeInvalid     problem.Code = "user_code_invalid"
	CodeTooManyDeviceLogins problem.Code = "too_many_device_logins"
	CodeKeyExpired          problem.Code = "key_expired"
	CodeKeyRevoked          problem.Code = "key_revoked"
	CodeKeyNetworkRefused   problem.Code = "key_network_refused"
	CodeKeyNotFound         problem.Code = "key_not_found"
	CodeKeyNameTaken        problem.Code = "key_name_taken"
	CodeKeyLifeOutOfRange   problem.Code = "key_life_out_of_range"
	CodeTooManyKeys         problem.Code = "too_many_keys"
	CodeScopeUnknown        problem.Code = "scope_unknown"
	CodeNetworkMalformed    problem.Code = "network_malformed"

	// The answers to a device that waits for its approval have the names of RFC 8628, 3.5.
	CodeAuthorizationPending problem.Code = "authorization_pending"
	CodeSlowDown             problem.Code = "slow_down"
	CodeAccessDenied         problem.Code = "access_denied"
	CodeExpiredToken         problem.Code = "expired_token"
)

// Codes lists every code that a [problem.Error] of this package can carry.
func Codes() []problem.Code {
	return []problem.Code{
		CodeInvalidCredentials, CodeAccountSuspended,
		CodeEmailTaken, CodeHandleTaken, CodeHandleUnchanged, CodeTooManyHandleChanges,
		CodeApprovalNotFound, CodeApprovalDecided, CodeOwnRequest, CodeOwnAccount,
		CodeEmailMalformed, CodeHandleMalformed, CodeNameMalformed, CodeHandleReserved, CodeNameReserved,
		CodePasswordTooShort, CodePasswordTooLong, CodePasswordMalformed,
		CodePasswordTooCommon, CodePasswordPersonal, CodePasswordUnchanged, CodeResetCodeInvalid, CodeEmailCodeInvalid,
		CodeOTPRequired, CodeOTPInvalid, CodeStepUpRequired, CodeSecondFactorExists, CodeSecondFactorMissing,
		CodeTokenInvalid, CodeTokenExpired, CodeSessionRevoked,
		CodeRefreshTokenInvalid, CodeRefreshTokenReused,
		CodeUserNotFound, CodeSessionNotFound,
		CodeOverloaded, CodeTooManyAttempts, CodeTooManyLookUps,
		CodeUserCodeInvalid, CodeTooManyDeviceLogins, CodeAuthorizationPending, CodeSlowDown, CodeAccessDenied, CodeExpiredToken,
		CodeKeyExpired, CodeKeyRevoked, CodeKeyNetworkRefused, CodeKeyNotFound, CodeKeyNameTaken,
		CodeKeyLifeOutOfRange, CodeTooManyKeys, CodeScopeUnknown, CodeNetworkMalformed,
	}
}

// Why a refresh token was refused. The public code of the first three is refresh_token_invalid, so
// that an attacker who tries tokens learns nothing from it.
var (
	errRefreshUnknown = errors.New("no such refresh token")
	errRefreshExpired = errors.New("refresh token expired")
	errRefreshRevoked = errors.New("session of the refresh token was revoked")
	errRefreshReused  = errors.New("refresh token was used before")
)

func refreshRefused(why error) *problem.Error {
	if errors.Is(why, errRefreshReused) {
		return &problem.Error{
			Code:    CodeRefreshTokenReused,
			Message: "this refresh token was used before, so its session was ended; log in again",
			Cause:   why,
		}
	}
	return &problem.Error{
		Code:    CodeRefreshTokenInvalid,
		Message: "the session has ended; log in again",
		Cause:   why,
	}
}

func errInvalidCredentials() *problem.Error {
	return &problem.Error{Code: CodeInvalidCredentials, Message: "the login or the password is wrong"}
}

func errSuspended() *problem.Error {
	return &problem.Error{Code: CodeAccountSuspended, Message: "this account is suspended"}
}

func errUserNotFound() *problem.Error {
	return &problem.Error{Code: CodeUserNotFound, Message: "there is no such user"}
}

func errTokenInvalid(cause error) *problem.Error {
	return &problem.Error{Code: CodeTokenInvalid, Message: "the access token is not valid", Cause: cause}
}
