package sim

import (
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"time"

	"github.com/JDevAman/kizo/server/listener"
)

// Config is a mock bank before it starts. Journal and Token are required.
type Config struct {
	Addr    string // for Run; 127.0.0.1:3001 if empty
	Journal string // path of the append-only journal; its folder is made if missing
	Seed    uint64
	Faults  Faults // the zero value is calm
	Token   string // bearer token of /v1; required unless Open
	Open    bool   // may serve without a Token, to anyone who asks

	MaxConnections int // of clients at once; what the file descriptors allow if 0

	CallbackURL    string // http(s); empty sends no callbacks
	CallbackSecret string // required with CallbackURL

	Clock func() time.Time // time.Now if nil; only what is written down, never timeouts
	Log   *slog.Logger     // discards if nil
}

// Faults are shares (0..1) and durations. Each share is an independent throw of
// the dice, except where it says otherwise.
type Faults struct {
	Latency   time.Duration // every request waits 0..Latency, even
	Hang      float64       // share of requests that wait HangFor before anything happens
	HangFor   time.Duration
	HangFails float64 // share of those hangs that then fail with 500, nothing executed
	Fail      float64 // share of requests that fail with 500 or 503, nothing executed

	// CutAfter is the share of submissions that are executed and never answered:
	// half of the lines are cut at once, half after StallFor.
	CutAfter float64
	StallFor time.Duration

	RejectDeposits    float64 // by ref, not by attempt
	RejectWithdrawals float64

	Lies     float64 // share of answers to Submit that name a wrong amount or the opposite status
	Stubborn float64 // share of refs about whose amount every answer lies, to Submit and to Status

	CallbackDuplicate float64 // share of callbacks sent twice
	CallbackReorder   float64 // share of callbacks held back by up to CallbackDelay
	CallbackDelay     time.Duration
}

// ErrNoToken is New's without Config.Token.
var ErrNoToken = errors.New("mock bank: no token, so anyone could have payments executed")

// ownDescriptors are for the journal, the callbacks and the runtime.
const ownDescriptors = 64

// maxWait bounds every duration of Faults.
const maxWait = time.Hour

// Preset gives the faults of a name: calm, classic or hell.
func Preset(name string) (Faults, error) {
	switch name {
	case "calm":
		return Faults{}, nil
	case "classic":
		return Faults{
			Hang: 0.05, HangFor: 5 * time.Second, HangFails: 0.40,
			RejectDeposits: 0.05, RejectWithdrawals: 0.10,
		}, nil
	case "hell":
		return Faults{
			Latency: 50 * time.Millisecond,
			Hang:    0.05, HangFor: 5 * time.Second, HangFails: 0.40,
			Fail:     0.10,
			CutAfter: 0.30, StallFor: 10 * time.Second,
			RejectDeposits: 0.05, RejectWithdrawals: 0.10,
			Lies:              0.01,
			CallbackDuplicate: 0.10, CallbackReorder: 0.10, CallbackDelay: 2 * time.Second,
		}, nil
	}
	return Faults{}, fmt.Errorf("mock bank: no preset %q: have calm, classic, hell", name)
}

// Validate says whether every share is 0..1 and every duration 0..1 h.
func (f Faults) Validate() error {
	for _, share := range []float64{
		f.Hang, f.HangFails, f.Fail, f.CutAfter, f.RejectDeposits, f.RejectWithdrawals,
		f.Lies, f.Stubborn, f.CallbackDuplicate, f.CallbackReorder,
	} {
		if !(share >= 0 && share <= 1) { // also refuses NaN
			return errors.New("mock bank: a share of faults is not within 0 and 1")
		}
	}
	for _, d := range []time.Duration{f.Latency, f.HangFor, f.StallFor, f.CallbackDelay} {
		if d < 0 || d > maxWait {
			return errors.New("mock bank: a duration of faults is not within 0 and 1h")
		}
	}
	return nil
}

func (c *Config) complete() error {
	if c.Addr == "" {
		c.Addr = "127.0.0.1:3001"
	}
	if c.Clock == nil {
		c.Clock = time.Now
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	if descriptors := listener.Descriptors(); c.MaxConnections == 0 && descriptors > 0 {
		c.MaxConnections = max(descriptors-ownDescriptors, descriptors/2)
	}
	if c.Journal == "" {
		return errors.New("mock bank: no journal path")
	}
	if c.Token == "" && !c.Open {
		return ErrNoToken
	}
	if c.CallbackURL != "" {
		u, err := url.Parse(c.CallbackURL)
		if err != nil || (u.Scheme != "http" && u.Scheme != "https") || u.Host == "" {
			return errors.New("mock bank: callback URL must be http(s)://host/path")
		}
		if c.CallbackSecret == "" {
			return errors.New("mock bank: callbacks need a secret")
		}
	}
	return c.Faults.Validate()
}
