package bank

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/JDevAman/kizo/server/bank/internal/wire"
	"github.com/JDevAman/kizo/server/problem"
)

// SignatureHeader is the header with the signature of a callback. Its value is
// `t=<unix seconds>,v1=<hex HMAC-SHA-256 of t.body>`.
const SignatureHeader = "Kizo-Bank-Signature"

// CodeSignatureInvalid is the code of all errors of [VerifyCallback]. It is part of the public
// API contract.
const CodeSignatureInvalid problem.Code = "signature_invalid"

// Errors of [VerifyCallback]. The sender receives the same answer for all three; the cause is for
// logs.
var (
	ErrSignatureMalformed = signatureInvalid("it is malformed")
	ErrSignatureWrong     = signatureInvalid("it does not match the body")
	ErrSignatureStale     = signatureInvalid("it is too old or from the future")
)

func signatureInvalid(cause string) *problem.Error {
	return &problem.Error{
		Code: CodeSignatureInvalid, Field: SignatureHeader, Cause: errors.New(cause),
		Message: "the signature is missing, wrong or too old",
	}
}

// SignCallback returns the value of [SignatureHeader] for a body that is sent at the time at.
func SignCallback(body, secret []byte, at time.Time) string {
	t := strconv.FormatInt(at.Unix(), 10)
	return "t=" + t + ",v1=" + callbackMAC(t, body, secret)
}

// VerifyCallback returns nil if header is the signature of body with secret, made no more than
// tolerance before or after now. It compares in constant time and accepts exactly one form of the
// header. With an empty secret every signature is wrong. The error is one of
// [ErrSignatureMalformed], [ErrSignatureWrong] and [ErrSignatureStale].
func VerifyCallback(header string, body, secret []byte, now time.Time, tolerance time.Duration) error {
	timestamp, mac, ok := strings.Cut(header, ",")
	timestamp, okT := strings.CutPrefix(timestamp, "t=")
	mac, okV := strings.CutPrefix(mac, "v1=")
	if !ok || !okT || !okV || len(timestamp) < 1 || len(timestamp) > 12 || len(mac) != hex.EncodedLen(sha256.Size) {
		return ErrSignatureMalformed
	}
	unix, err := strconv.ParseUint(timestamp, 10, 63)
	if err != nil {
		return ErrSignatureMalformed
	}
	// The MAC covers the timestamp as written and is compared as written (lower-case hex).
	if len(secret) == 0 || !hmac.Equal([]byte(callbackMAC(timestamp, body, secret)), []byte(mac)) {
		return ErrSignatureWrong
	}
	if age := now.Sub(time.Unix(int64(unix), 0)); age > tolerance || age < -tolerance {
		return ErrSignatureStale
	}
	return nil
}

func callbackMAC(timestamp string, body, secret []byte) string {
	mac := hmac.New(sha256.New, secret)
	mac.Write([]byte(timestamp))
	mac.Write([]byte{'.'})
	mac.Write(body)
	return hex.EncodeToString(mac.Sum(nil))
}

// Callback is a notice that the bank has decided about an instruction. It may arrive twice with the
// same EventID, late, in any order, or never.
type Callback struct {
	EventID     string // 1 to 64 bytes of visible ASCII
	Instruction Instruction
	Answer      Answer
}

// ParseCallback reads the body of a callback whose signature is verified. It is as strict as
// [Client] is with a response.
func ParseCallback(body []byte) (Callback, error) {
	if len(body) > MaxBody {
		return Callback{}, fmt.Errorf("bank: callback is larger than %d bytes", MaxBody)
	}
	f, err := wire.Parse(body)
	if err != nil {
		return Callback{}, fmt.Errorf("bank: callback: %w", err)
	}
	in := readInstruction(f)
	answer, err := readAnswer(f)
	if err == nil {
		err = in.Validate()
	}
	cb := Callback{EventID: f.Text("event_id"), Instruction: in, Answer: answer}
	if err == nil && !visibleASCII(cb.EventID) {
		err = errors.New("event_id must be 1 to 64 bytes of visible ASCII")
	}
	if err != nil {
		return Callback{}, fmt.Errorf("bank: callback: %w", err)
	}
	return cb, nil
}
