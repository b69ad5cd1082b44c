package bank_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/JDevAman/kizo/server/bank"
)

func TestCallbackSignature(t *testing.T) {
	body, secret, now := []byte(`{"event_id":"evt-1"}`), []byte("s3cret"), time.Unix(1_767_225_600, 0)
	good := bank.SignCallback(body, secret, now)
	// Computed with OpenSSL:
	// printf '1767225600.{"event_id":"evt-1"}' | openssl dgst -sha256 -hmac s3cret
	const want = "t=1767225600,v1=e40aaff25f9ac2b0bf97db3a9c0049ee4af181ae54a75b324249afd867e8236d"
	if good != want {
		t.Fatalf("signature is %s, want %s", good, want)
	}
	for skew, wantErr := range map[time.Duration]error{
		0:                            nil,
		5 * time.Minute:              nil,
		-5 * time.Minute:             nil,
		5*time.Minute + time.Second:  bank.ErrSignatureStale,
		-5*time.Minute - time.Second: bank.ErrSignatureStale,
		200 * 365 * 24 * time.Hour:   bank.ErrSignatureStale,
	} {
		if err := bank.VerifyCallback(good, body, secret, now.Add(skew), 5*time.Minute); !errors.Is(err, wantErr) {
			t.Errorf("skew %v: %v", skew, err)
		}
	}
	for i := range len(good) * 8 {
		flipped := []byte(good)
		flipped[i/8] ^= 1 << (i % 8)
		if bank.VerifyCallback(string(flipped), body, secret, now, time.Hour) == nil {
			t.Errorf("bit %d of the header flipped and still valid: %s", i, flipped)
		}
	}
	for i := range len(body) * 8 {
		flipped := []byte(string(body))
		flipped[i/8] ^= 1 << (i % 8)
		if err := bank.VerifyCallback(good, flipped, secret, now, time.Hour); !errors.Is(err, bank.ErrSignatureWrong) {
			t.Errorf("bit %d of the body flipped: %v", i, err)
		}
	}
	if bank.VerifyCallback(good, body, []byte("other"), now, time.Hour) == nil {
		t.Error("another secret verifies")
	}
	if bank.VerifyCallback(bank.SignCallback(body, nil, now), body, nil, now, time.Hour) == nil {
		t.Error("an empty secret verifies")
	}
}

func TestCallbackHeaderHasOneForm(t *testing.T) {
	body, secret, now := []byte("x"), []byte("s"), time.Unix(1_767_225_600, 0)
	good := bank.SignCallback(body, secret, now)
	timestamp, mac, _ := strings.Cut(good, ",")
	for _, header := range []string{
		"", ",", "t=,v1=", timestamp, mac, mac + "," + timestamp, timestamp + ", " + mac, good + ",v1=00", " " + good, good + " ",
		timestamp + "," + strings.ToUpper(mac), timestamp + "," + mac[:len(mac)-2], "t=-1," + mac, "t=+1767225600," + mac,
		"t=01767225600," + mac, "t=9999999999999999999999," + mac, "t=1e9," + mac, timestamp + ",v0=" + mac[3:],
	} {
		if bank.VerifyCallback(header, body, secret, now, time.Hour) == nil {
			t.Errorf("header %q verifies", header)
		}
	}
}

func TestParseCallback(t *testing.T) {
	const good = `{"event_id":"evt-1","seq":4,"direction":"withdrawal","ref":"ref-1","bank_ref":"bk-1","status":"executed","reason":"","amount":1250,"currency":"USD","at":"2026-01-02T03:04:05Z"}`
	cb, err := bank.ParseCallback([]byte(good))
	if err != nil || cb.EventID != "evt-1" || cb.Instruction != payment || cb.Answer.Outcome != bank.Executed {
		t.Fatalf("got %+v, %v", cb, err)
	}
	for _, change := range [][2]string{
		{`"evt-1"`, `""`}, {`"event_id":"evt-1",`, ``}, {`evt-1`, `evt\n1`}, {`1250`, `0`}, {`ref-1`, `ref/1`},
		{`withdrawal`, `sideways`}, {`"executed"`, `"unknown"`}, {`"seq":4`, `"status":"rejected"`}, {`}`, `}}`},
		{`"USD"`, `"usd"`},
	} {
		if cb, err := bank.ParseCallback([]byte(strings.Replace(good, change[0], change[1], 1))); err == nil {
			t.Errorf("%s → %s is accepted: %+v", change[0], change[1], cb)
		}
	}
	if _, err := bank.ParseCallback([]byte(good + strings.Repeat(" ", bank.MaxBody))); err == nil {
		t.Error("an oversized callback is accepted")
	}
}
