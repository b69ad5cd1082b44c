package api

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"runtime/debug"
	"sync"
	"time"

	"github.com/gofiber/fiber/v2"
	"github.com/google/uuid"

	"github.com/JDevAman/kizo/money"
	"github.com/JDevAman/kizo/openapi"
	"github.com/JDevAman/kizo/server/api/internal/routes"
	"github.com/JDevAman/kizo/server/auth"
	"github.com/JDevAman/kizo/server/ledger"
	"github.com/JDevAman/kizo/server/listener"
	"github.com/JDevAman/kizo/server/mail"
	"github.com/JDevAman/kizo/server/notices"
	"github.com/JDevAman/kizo/server/spans"
)

// Config configures an API. Logger, Metrics, and the fields from Limits on are optional.
type Config struct {
	Ledger          *ledger.Ledger
	Auth            *auth.Service
	Ops             Ops
	Enqueue         func(transfer uuid.UUID) // called when a payment is to be settled; must not block
	Contract        []byte                   // openapi.yaml, served unchanged
	DefaultCurrency money.Currency           // of a new user's first wallet
	Version         string
	Logger          *slog.Logger
	Metrics         *Metrics
	Limits          Limits
	Part            Part
	InFlight        int // requests worked on at once; DefaultInFlight when 0
	TrustedProxies  TrustedProxies
	Connections     Connections
	Triggers        Triggers        // nil for every server but kizod dev
	TryOut          bool            // /docs has forms that send requests, as under kizod dev
	Mail            func(mail.Task) // asks for a mail to a user, and does not block; nil if users get no mail
	Notices         *notices.Inbox
	TLS             *tls.Config // of the listener; nil serves plain HTTP

	// OperatorsWithoutSecondFactor lets operators act without a second factor, as kizod dev does.
	OperatorsWithoutSecondFactor bool

	Spans *spans.Exporter // gets a span for each request; nil exports none

	FourEyes FourEyes // above which actions of operators need the approval of another one
}

// API serves the HTTP API. It implements the interface that is generated from the contract.
type API struct {
	ledger                    *ledger.Ledger
	auth                      *auth.Service
	ops                       Ops
	enqueue                   func(uuid.UUID)
	currency                  money.Currency
	log                       *slog.Logger
	app                       *fiber.App
	timeout                   time.Duration // of a request, without the wait that its caller asks for
	part                      Part
	limits                    Limits
	userPolicy, addressPolicy string // the values of the RateLimit-Policy header

	streams    context.Context // ends when the event streams must end
	endStreams context.CancelFunc
	heartbeat  time.Duration
	recheck    time.Duration
	snapshots  *snapshotFeed
	metrics    *Metrics
	admission  *admission
	batches    *batchLimits
	proxies    TrustedProxies
	triggers   Triggers
	noFactor   bool // operators need no second factor
	fourEyes   FourEyes
	spans      *spans.Exporter
	mail       func(mail.Task)
	notices    *notices.Inbox
	listener   listener.Config
	tls        *tls.Config
}

var _ routes.StrictServerInterface = (*API)(nil)

// New returns an API; Serve runs it.
func New(config Config) *API {
	if config.Logger == nil {
		config.Logger = slog.New(slog.DiscardHandler)
	}
	if config.Metrics == nil {
		config.Metrics = NewMetrics()
	}
	a := &API{
		batches: newBatchLimits(),
		ledger:  config.Ledger, auth: config.Auth, ops: config.Ops, enqueue: config.Enqueue,
		currency: config.DefaultCurrency, log: config.Logger, metrics: config.Metrics, timeout: 15 * time.Second,
		triggers: config.Triggers, mail: config.Mail, notices: config.Notices, tls: config.TLS, noFactor: config.OperatorsWithoutSecondFactor, fourEyes: config.FourEyes, spans: config.Spans,
		part: config.Part, limits: config.Limits, proxies: config.TrustedProxies,
		userPolicy: config.Limits.UserPolicy.field("user"), addressPolicy: config.Limits.AddressPolicy.field("address"),
	}
	a.streams, a.endStreams = context.WithCancel(context.Background())
	a.heartbeat, a.recheck = heartbeatInterval, recheckInterval
	a.admission = config.Metrics.admission(config.InFlight, config.Auth.RefuseHash)
	a.snapshots = newSnapshotFeed(func(ctx context.Context) openapi.OpsSnapshot { return a.ops.Snapshot(ctx) }, config.Logger)
	a.listener = a.listenerConfig(config)
	a.app = fiber.New(fiber.Config{
		AppName:               "kizo",
		BodyLimit:             maxBody,
		ReadTimeout:           readTimeout, // Fiber has no limit by default, for all three
		WriteTimeout:          10 * time.Second,
		IdleTimeout:           60 * time.Second,
		Concurrency:           a.listener.Max + 1, // the listener enforces Max
		Immutable:             true,               // otherwise fasthttp reuses the memory of strings that outlive a handler
		ErrorHandler:          a.handleError,
		JSONEncoder:           encodeJSON,
		DisableStartupMessage: true,
		StrictRouting:         true,
		// The contract has no forms. A form that is not parsed costs nothing and is answered with
		// 415.
		DisablePreParseMultipartForm: true,
		CaseSensitive:                true,
	})
	a.app.Server().ConnState = trackConnection
	a.app.Server().HeaderReceived = a.limitBody
	a.app.Server().SecureErrorLogMessage = true // a request that cannot be parsed may contain a token
	a.app.Server().Handler = a.admission.admit(a.app.Server().Handler)
	for _, step := range a.middlewares() {
		a.app.Use(step)
	}
	a.pages(config)
	a.registerRoutes()
	return a
}

// Serve accepts connections on the listener until Shutdown, then closes the listener and returns.
func (a *API) Serve(l net.Listener) error {
	inner := clientListener{listener.New(l, a.listener), a.tls, a.log}
	closing := closeOnce{inner, sync.OnceValue(inner.Close)}
	// fasthttp ignores a Shutdown that is called before it has the listener.
	stop := context.AfterFunc(a.streams, func() { _ = closing.Close() })
	defer stop()
	return a.app.Listener(closing)
}

// closeOnce is a listener that may be closed more than once.
type closeOnce struct {
	net.Listener
	close func() error
}

// Close closes the listener and returns the result of the first call.
func (c closeOnce) Close() error { return c.close() }

// Shutdown stops accepting connections, ends the event streams, and returns when the requests in
// flight have finished or ctx ends.
func (a *API) Shutdown(ctx context.Context) error {
	a.endStreams()
	return a.app.ShutdownWithContext(ctx)
}

// recoverPanic turns a panic into an error, so that it fails one request and not the process.
func (a *API) recoverPanic(c *fiber.Ctx) (err error) {
	defer func() {
		if cause := recover(); cause != nil {
			a.log.Error("panic in a handler", "request_id", requestID(c), "trace_id", traceOf(c).TraceID(), "route", c.Route().Path, "cause", fmt.Sprint(cause), "stack", string(debug.Stack()))
			err = errors.New("panic in a handler")
		}
	}()
	return c.Next()
}
