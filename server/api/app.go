package api

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
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
)

// Config of an API; Logger, Metrics, and all from Limits on may be left out.
type Config struct {
	Ledger          *ledger.Ledger
	Auth            *auth.Service
	Ops             Ops
	Enqueue         func(transfer uuid.UUID) // a payment waits to be settled; must not block
	Contract        []byte                   // openapi.yaml, served as it is
	DefaultCurrency money.Currency           // of the wallet that comes with a new user
	Version         string
	Logger          *slog.Logger
	Metrics         *Metrics
	Limits          Limits
	Part            Part
	InFlight        int // requests worked on at once; DefaultInFlight when 0
	TrustedProxies  TrustedProxies
	Connections     Connections
}

// API is the HTTP side. It implements the interface generated from the contract.
type API struct {
	ledger                    *ledger.Ledger
	auth                      *auth.Service
	ops                       Ops
	enqueue                   func(uuid.UUID)
	currency                  money.Currency
	log                       *slog.Logger
	app                       *fiber.App
	timeout                   time.Duration // of a request, without the wait that its caller prefers
	part                      Part
	limits                    Limits
	userPolicy, addressPolicy string // as callers are told

	streams    context.Context // ends when the streams have to
	endStreams context.CancelFunc
	heartbeat  time.Duration
	recheck    time.Duration
	board      *board
	metrics    *Metrics
	admission  *admission
	proxies    TrustedProxies
	listener   listener.Config
}

var _ routes.StrictServerInterface = (*API)(nil)

// New makes an API; Serve runs it.
func New(config Config) *API {
	if config.Logger == nil {
		config.Logger = slog.New(slog.DiscardHandler)
	}
	if config.Metrics == nil {
		config.Metrics = NewMetrics()
	}
	a := &API{
		ledger: config.Ledger, auth: config.Auth, ops: config.Ops, enqueue: config.Enqueue,
		currency: config.DefaultCurrency, log: config.Logger, metrics: config.Metrics, timeout: 15 * time.Second,
		part: config.Part, limits: config.Limits, proxies: config.TrustedProxies,
		userPolicy: config.Limits.UserPolicy.field("user"), addressPolicy: config.Limits.AddressPolicy.field("address"),
	}
	a.streams, a.endStreams = context.WithCancel(context.Background())
	a.heartbeat, a.recheck = heartbeatEvery, recheckEvery
	a.admission = config.Metrics.admission(config.InFlight)
	a.board = newBoard(func(ctx context.Context) openapi.OpsSnapshot { return a.ops.Snapshot(ctx) }, config.Logger)
	a.listener = a.listenerConfig(config)
	a.app = fiber.New(fiber.Config{
		AppName:               "kizo",
		BodyLimit:             maxBody,
		ReadTimeout:           10 * time.Second, // Fiber's default is none, for all three
		WriteTimeout:          10 * time.Second,
		IdleTimeout:           60 * time.Second,
		Concurrency:           a.listener.Max + 1, // the listener keeps to its own
		Immutable:             true,               // or a key kept past its handler changes under us
		ErrorHandler:          a.handleError,
		DisableStartupMessage: true,
		StrictRouting:         true,
		// No body here is a form: unread, one costs nothing and gets 415 like any other.
		DisablePreParseMultipartForm: true,
		CaseSensitive:                true,
	})
	a.app.Server().ConnState = trackConnection
	a.app.Server().SecureErrorLogMessage = true // what cannot be parsed may hold a token
	a.app.Server().Handler = a.admission.admit(a.app.Server().Handler)
	for _, step := range a.middlewares() {
		a.app.Use(step)
	}
	a.pages(config)
	a.registerRoutes()
	return a
}

// Serve answers on the listener until Shutdown. After a Shutdown it closes the listener and returns.
func (a *API) Serve(l net.Listener) error {
	inner := lingering{listener.New(l, a.listener)}
	closing := closeOnce{inner, sync.OnceValue(inner.Close)}
	// fasthttp forgets a Shutdown that came before it had the listener.
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

// Shutdown stops accepting, ends the streams, lets the requests under way finish,
// and returns when they have or ctx ends.
func (a *API) Shutdown(ctx context.Context) error {
	a.endStreams()
	return a.app.ShutdownWithContext(ctx)
}

// recoverPanic keeps one request's defect from being everybody's.
func (a *API) recoverPanic(c *fiber.Ctx) (err error) {
	defer func() {
		if cause := recover(); cause != nil {
			a.log.Error("panic in a handler", "request_id", requestID(c), "trace_id", traceOf(c).TraceID(), "route", c.Route().Path, "cause", fmt.Sprint(cause), "stack", string(debug.Stack()))
			err = errors.New("panic in a handler")
		}
	}()
	return c.Next()
}

// pages are the routes outside the contract's operations.
func (a *API) pages(config Config) {
	a.app.Get("/", func(c *fiber.Ctx) error {
		c.Set(fiber.HeaderContentSecurityPolicy, landingSecurity)
		return c.Type("html", "utf-8").SendString(landing(config.Version))
	})
	a.app.Get("/openapi.yaml", func(c *fiber.Ctx) error {
		c.Set(fiber.HeaderContentType, "application/yaml")
		return c.Send(config.Contract)
	})
	a.app.Get("/.well-known/jwks.json", func(c *fiber.Ctx) error {
		c.Set(fiber.HeaderContentType, "application/jwk-set+json")
		return c.Send(a.auth.JWKS())
	})
}

const landingStyle = `body{font:16px/1.6 ui-monospace,monospace;max-width:40em;margin:4em auto;padding:0 1em}`

// landingSecurity allows that style and nothing else.
var landingSecurity = func() string {
	hash := sha256.Sum256([]byte(landingStyle))
	return "default-src 'none'; style-src 'sha256-" + base64.StdEncoding.EncodeToString(hash[:]) + "'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
}()

func landing(version string) string {
	return `<!doctype html><html lang="en"><meta charset="utf-8"><title>Kizo</title>
<style>` + landingStyle + `</style>
<h1>Kizo</h1><p>A wallet for people who live in a terminal. This is its daemon, kizod ` + version + `.</p>
<pre>kizo signup --email ada@example.com --handle ada --name "Ada Lovelace"
kizo deposit 100
kizo transfer @bob 12.50 -m lunch</pre>
<p>The contract: <a href="/openapi.yaml">openapi.yaml</a></p></html>
`
}
