package sim

import (
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"time"

	"github.com/JDevAman/kizo/server/listener"
)

// Config configures a [Server]. Journal and Token are required.
type Config struct {
	Addr    string // for Run; 127.0.0.1:3001 if empty
	Journal string // path of the append-only journal; its directory is created if missing
	Seed    uint64
	Faults  Faults // the zero value injects none
	Token   string // bearer token of all routes under /v1; required unless Open
	Open    bool   // allows an empty Token: every client is then accepted

	MaxConnections int // open connections; if 0, what the limit of file descriptors allows

	CallbackURL    string // http(s); empty sends no callbacks
	CallbackSecret string // required with CallbackURL

	Clock func() time.Time // time.Now if nil; for stored times only, never for timeouts
	Log   *slog.Logger     // discards if nil
}

// Faults says which faults the bank injects. Shares are from 0 to 1, durations up to 1 h. Each
// share is decided independently for each request unless it says otherwise.
type Faults struct {
	Latency   time.Duration // every request waits for 0 to Latency, uniformly distributed
	Hang      float64       // share of requests that wait for HangFor before anything else happens
	HangFor   time.Duration
	HangFails float64 // share of those hangs that then fail with 500, nothing executed
	Fail      float64 // share of requests that fail with 500 or 503, nothing executed

	// CutAfter is the share of submissions that are executed and never answered: half of these
	// connections are closed at once, half after StallFor.
	CutAfter float64
	StallFor time.Duration

	RejectDeposits    float64 // share of references, not of attempts
	RejectWithdrawals float64

	Lies     float64 // share of answers to Submit with a wrong amount or the opposite status
	Stubborn float64 // share of references for which every answer, also to Status, has a wrong amount

	CallbackDuplicate float64 // share of callbacks sent twice
	CallbackReorder   float64 // share of callbacks delayed by up to CallbackDelay
	CallbackDelay     time.Duration
}

// ErrNoToken is returned by [New] if Config has neither Token nor Open.
var ErrNoToken = errors.New("mock bank: without a token every client could execute payments")

// ownDescriptors is the number of file descriptors for the journal, the callbacks and the runtime.
const ownDescriptors = 64

// maxWait is the largest duration in Faults.
const maxWait = time.Hour

// Preset returns a named set of faults: "calm" has none, "classic" hangs and rejects, "hell" has
// all.
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
	return Faults{}, fmt.Errorf("mock bank: unknown preset %q: it must be calm, classic or hell", name)
}

// Validate returns an error unless every share is within 0 and 1 and every duration within 0 and
// 1 h.
func (f Faults) Validate() error {
	for _, share := range []float64{
		f.Hang, f.HangFails, f.Fail, f.CutAfter, f.RejectDeposits, f.RejectWithdrawals,
		f.Lies, f.Stubborn, f.CallbackDuplicate, f.CallbackReorder,
	} {
		if !(share >= 0 && share <= 1) { // also true for NaN
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

// setDefaults fills in defaults and validates the configuration.
func (c *Config) setDefaults() error {
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
		return errors.New("mock bank: the path of the journal is missing")
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
			return errors.New("mock bank: callbacks require a secret")
		}
	}
	return c.Faults.Validate()
}
