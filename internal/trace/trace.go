// Package trace passes the identity of a trace through all processes that work on a request: kizo,
// kizod and the bank. It uses the header traceparent of W3C Trace Context
// (https://www.w3.org/TR/trace-context/):
//
//	00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01
//	│  trace id: the same in all         span id: of     └ flags; 01: the trace is recorded
//	version      processes               one request
//
// The ids are written to logs and stored with payments; server/spans exports the spans of kizod.
// The package imports nothing of Kizo.
package trace

import (
	"context"
	"encoding/binary"
	"encoding/hex"
	"math/rand/v2"
)

// Header is the name of the HTTP header.
const Header = "Traceparent"

// Length of a traceparent, in bytes.
const Length = 55

// A Context is the trace id and the span id of one request. The zero value is no trace.
type Context struct {
	trace  [16]byte
	span   [8]byte
	parent [8]byte // the span that this one is a child of; zeros if it has none, or it is not known
	flags  byte
}

// sampled and random are the flags that this version knows. Others must be sent as 0.
const sampled, random = 0x01, 0x02

// New returns a new trace with its first span.
func New() Context {
	c := Context{flags: random}
	for c.trace == [16]byte{} { // zeros are not a valid id
		binary.NativeEndian.PutUint64(c.trace[:8], rand.Uint64()) //nolint:gosec // an id, not a secret
		binary.NativeEndian.PutUint64(c.trace[8:], rand.Uint64()) //nolint:gosec // an id, not a secret
	}
	return c.Child()
}

// Child returns a new span of the same trace. The child of the zero value is the zero value.
func (c Context) Child() Context {
	if !c.Valid() {
		return c
	}
	c.parent = c.span
	for c.span = [8]byte{}; c.span == [8]byte{}; {
		binary.NativeEndian.PutUint64(c.span[:], rand.Uint64()) //nolint:gosec // an id, not a secret
	}
	return c
}

// IDs returns the ids; parent is zeros if the span has no parent, or c was parsed.
func (c Context) IDs() (trace [16]byte, span, parent [8]byte) { return c.trace, c.span, c.parent }

// Valid reports whether c is a trace, not the zero value.
func (c Context) Valid() bool { return c.trace != [16]byte{} }

// TraceID returns the trace id as 32 hexadecimal digits, or "" for the zero value.
func (c Context) TraceID() string {
	if !c.Valid() {
		return ""
	}
	return hex.EncodeToString(c.trace[:])
}

// String returns the traceparent, or "" for the zero value.
func (c Context) String() string {
	if !c.Valid() {
		return ""
	}
	var text [Length]byte
	copy(text[:], "00-")
	hex.Encode(text[3:35], c.trace[:])
	text[35] = '-'
	hex.Encode(text[36:52], c.span[:])
	text[52] = '-'
	hex.Encode(text[53:55], []byte{c.flags})
	return string(text[:])
}

// Parse parses a traceparent strictly: in lower case, without an id of zeros, and in version 00
// without anything after it. Of a later version it reads the fields of version 00.
func Parse(text string) (c Context, ok bool) {
	if len(text) < Length || text[2] != '-' || text[35] != '-' || text[52] != '-' {
		return Context{}, false
	}
	var version, flags [1]byte
	for _, part := range []struct {
		into []byte
		from string
	}{{version[:], text[:2]}, {c.trace[:], text[3:35]}, {c.span[:], text[36:52]}, {flags[:], text[53:55]}} {
		if !decode(part.into, part.from) {
			return Context{}, false
		}
	}
	switch {
	case version[0] == 0xff, version[0] == 0 && len(text) != Length, len(text) > Length && text[Length] != '-':
		return Context{}, false
	case !c.Valid(), c.span == [8]byte{}:
		return Context{}, false
	}
	c.flags = flags[0] & (sampled | random)
	return c, true
}

// decode decodes lower-case hexadecimal digits. hex.Decode would accept upper case too.
func decode(into []byte, from string) bool {
	for i := range into {
		high, low := digit(from[2*i]), digit(from[2*i+1])
		if high > 15 || low > 15 {
			return false
		}
		into[i] = high<<4 | low
	}
	return true
}

func digit(b byte) byte {
	switch {
	case b >= '0' && b <= '9':
		return b - '0'
	case b >= 'a' && b <= 'f':
		return b - 'a' + 10
	}
	return 0xff
}

type key struct{}

// Into returns a context with a trace.
func Into(ctx context.Context, c Context) context.Context { return context.WithValue(ctx, key{}, c) }

// From returns the trace of a context, or the zero value if it has none.
func From(ctx context.Context) Context {
	c, _ := ctx.Value(key{}).(Context)
	return c
}
