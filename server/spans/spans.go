// Package spans exports what kizod did in a trace, as OpenTelemetry spans over OTLP/HTTP, to a
// collector such as that of OpenTelemetry, Jaeger or Tempo:
//
//	request ──┐
//	attempt ──┼─ Record ─► sampler ─► bounded queue ─► OTLP/HTTP ─► collector
//	call ─────┘
//
// The ids of the spans are those of package trace, so that they are the ones in logs, in stored
// payments and in the requests to the bank. A span is recorded when it has ended. A collector that
// does not answer costs spans and nothing else.
package spans

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"sync/atomic"
	"time"

	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp"
	"go.opentelemetry.io/otel/sdk/resource"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	oteltrace "go.opentelemetry.io/otel/trace"

	"github.com/JDevAman/kizo/internal/trace"
)

// Config of an Exporter.
type Config struct {
	URL     string // of the collector, such as http://127.0.0.1:4318/v1/traces
	Percent int    // of the traces that are exported; all kizods with the same percentage export the same ones
	Version string
	Roles   string // separated by commas
	Log     *slog.Logger
}

// Exporter sends spans to a collector. A nil Exporter sends none.
type Exporter struct {
	provider *sdktrace.TracerProvider
	tracer   oteltrace.Tracer
}

// Kind is the part of the caller that a span has in a request.
type Kind = oteltrace.SpanKind

// The kinds of spans.
const (
	Server   Kind = oteltrace.SpanKindServer   // answers a request
	Client   Kind = oteltrace.SpanKindClient   // sends a request
	Consumer Kind = oteltrace.SpanKindConsumer // works on what was stored for later
)

// Span is one piece of work that has ended.
type Span struct {
	Name       string // of few different values, without ids
	Kind       Kind
	Trace      trace.Context // with the ids of the span
	Began      time.Time
	Failure    string // "" if it succeeded
	Attributes []Attribute
}

// Attribute is a name and a value, named as in the semantic conventions of OpenTelemetry.
type Attribute = attribute.KeyValue

// Text returns an attribute that is a text.
func Text(name, value string) Attribute { return attribute.String(name, value) }

// Number returns an attribute that is a number.
func Number(name string, value int) Attribute { return attribute.Int(name, value) }

// New returns an exporter, or nil without a URL. It does not wait for the collector. The variables
// OTEL_EXPORTER_OTLP_HEADERS and OTEL_EXPORTER_OTLP_CERTIFICATE of OpenTelemetry apply.
func New(ctx context.Context, config Config) (*Exporter, error) {
	if config.URL == "" {
		return nil, nil
	}
	exporter, err := otlptracehttp.New(ctx, otlptracehttp.WithEndpointURL(config.URL))
	if err != nil {
		return nil, fmt.Errorf("export spans to %s: %w", config.URL, err)
	}
	host, _ := os.Hostname() // "" is no reason not to start
	otel.SetErrorHandler(&failures{log: config.Log})
	provider := sdktrace.NewTracerProvider(
		sdktrace.WithBatcher(exporter),
		sdktrace.WithIDGenerator(givenIDs{}),
		sdktrace.WithSampler(sdktrace.TraceIDRatioBased(float64(config.Percent)/100)),
		sdktrace.WithResource(resource.NewSchemaless(
			Text("service.name", "kizod"), Text("service.version", config.Version), Text("kizo.roles", config.Roles),
			Text("host.name", host), Number("process.pid", os.Getpid()))),
	)
	return &Exporter{provider, provider.Tracer("github.com/JDevAman/kizo")}, nil
}

// Record queues a span that ends now. It never blocks: a span for which the queue has no place is
// dropped.
func (e *Exporter) Record(s Span) {
	if e == nil || !s.Trace.Valid() {
		return
	}
	ids := idsOf(s.Trace)
	ctx := context.WithValue(context.Background(), key{}, ids)
	if ids.parent.IsValid() {
		ctx = oteltrace.ContextWithRemoteSpanContext(ctx, oteltrace.NewSpanContext(oteltrace.SpanContextConfig{
			TraceID: ids.trace, SpanID: ids.parent, TraceFlags: oteltrace.FlagsSampled, Remote: true,
		}))
	}
	_, span := e.tracer.Start(ctx, s.Name, oteltrace.WithSpanKind(s.Kind), oteltrace.WithTimestamp(s.Began), oteltrace.WithAttributes(s.Attributes...))
	if s.Failure != "" {
		span.SetStatus(codes.Error, s.Failure)
	}
	span.End()
}

// Close sends the spans that are queued, until ctx ends.
func (e *Exporter) Close(ctx context.Context) error {
	if e == nil {
		return nil
	}
	if err := e.provider.Shutdown(ctx); err != nil {
		return fmt.Errorf("send the last spans: %w", err)
	}
	return nil
}

type ids struct {
	trace        oteltrace.TraceID
	span, parent oteltrace.SpanID
}

func idsOf(c trace.Context) (i ids) {
	i.trace, i.span, i.parent = c.IDs()
	return i
}

type key struct{}

// givenIDs gives a span the ids in its context.
type givenIDs struct{}

func (givenIDs) NewIDs(ctx context.Context) (oteltrace.TraceID, oteltrace.SpanID) {
	i, _ := ctx.Value(key{}).(ids)
	return i.trace, i.span
}

func (givenIDs) NewSpanID(ctx context.Context, _ oteltrace.TraceID) oteltrace.SpanID {
	i, _ := ctx.Value(key{}).(ids)
	return i.span
}

// failures logs that spans could not be exported, once a minute.
type failures struct {
	log  *slog.Logger
	last atomic.Int64 // Unix time
}

func (f *failures) Handle(err error) {
	now, last := time.Now().Unix(), f.last.Load()
	if now-last < 60 || !f.last.CompareAndSwap(last, now) {
		return
	}
	f.log.Warn("spans cannot be exported", "error", err)
}
