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

// SignatureHeader carries `t=<unix seconds>,v1=<hex HMAC-SHA-256 of t.body>`.
const SignatureHeader = "Kizo-Bank-Signature"

// CodeSignatureInvalid is part of the public contract.
const CodeSignatureInvalid problem.Code = "signature_invalid"

// Why the signature of a callback is not accepted. The sender receives the same answer to all
// three; the cause is for logs.
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

// SignCallback gives the value of SignatureHeader for a body sent at a time.
func SignCallback(body, secret []byte, at time.Time) string {
	t := strconv.FormatInt(at.Unix(), 10)
	return "t=" + t + ",v1=" + callbackMAC(t, body, secret)
}

// VerifyCallback says whether header was made over body with secret no more
// than tolerance before or after now. It compares in constant time and accepts
// exactly one form of header, so no bit of it can change unnoticed. An empty
// secret verifies nothing.
func VerifyCallback(header string, body, secret []byte, now time.Time, tolerance time.Duration) error {
	stamp, mac, ok := strings.Cut(header, ",")
	stamp, okT := strings.CutPrefix(stamp, "t=")
	mac, okV := strings.CutPrefix(mac, "v1=")
	if !ok || !okT || !okV || len(stamp) < 1 || len(stamp) > 12 || len(mac) != hex.EncodedLen(sha256.Size) {
		return ErrSignatureMalformed
	}
	unix, err := strconv.ParseUint(stamp, 10, 63)
	if err != nil {
		return ErrSignatureMalformed
	}
	// The MAC covers the stamp as written and is compared as written (lower-case hex).
	if len(secret) == 0 || !hmac.Equal([]byte(callbackMAC(stamp, body, secret)), []byte(mac)) {
		return ErrSignatureWrong
	}
	if age := now.Sub(time.Unix(int64(unix), 0)); age > tolerance || age < -tolerance {
		return ErrSignatureStale
	}
	return nil
}

func callbackMAC(stamp string, body, secret []byte) string {
	mac := hmac.New(sha256.New, secret)
	mac.Write([]byte(stamp))
	mac.Write([]byte{'.'})
	mac.Write(body)
	return hex.EncodeToString(mac.Sum(nil))
}

// Callback is a hint that the bank has answered an instruction. It may come
// twice (same EventID), late, in any order, or never.
type Callback struct {
	EventID     string // at most 64 visible ASCII bytes
	Instruction Instruction
	Answer      Answer
}

// ParseCallback reads the body of a verified callback. It refuses what the
// client would refuse in an answer.
func ParseCallback(body []byte) (Callback, error) {
	if len(body) > MaxBody {
		return Callback{}, errors.New("bank: callback is too large")
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
	if err == nil && !visible(cb.EventID) {
		err = errors.New("event_id must be 1 to 64 visible characters")
	}
	if err != nil {
		return Callback{}, fmt.Errorf("bank: callback: %w", err)
	}
	return cb, nil
}
