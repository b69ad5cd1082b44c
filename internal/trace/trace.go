// Package trace names one piece of work through all processes that take part in it:
// kizo, kizod, the bank. The name travels as the W3C's traceparent
// (https://www.w3.org/TR/trace-context/):
//
//	00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01
//	│  trace id: of the whole work      span id: of    └ flags; 01: somebody keeps it
//	version                             this step
//
// It is a name and nothing else: no spans are collected. The package may not know who
// uses it.
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

// A Context names a step of some work. The zero value names nothing.
type Context struct {
	trace [16]byte
	span  [8]byte
	flags byte
}

// sampled and random are the flags that this version knows: the others must be sent as 0.
const sampled, random = 0x01, 0x02

// New begins some work.
func New() Context {
	c := Context{flags: random}
	for c.trace == [16]byte{} { // all zeros are no id
		binary.NativeEndian.PutUint64(c.trace[:8], rand.Uint64()) //nolint:gosec // a name, no secret
		binary.NativeEndian.PutUint64(c.trace[8:], rand.Uint64()) //nolint:gosec // a name, no secret
	}
	return c.Child()
}

// Child is the next step of the same work; of nothing, nothing.
func (c Context) Child() Context {
	if !c.Valid() {
		return c
	}
	for c.span = [8]byte{}; c.span == [8]byte{}; {
		binary.NativeEndian.PutUint64(c.span[:], rand.Uint64()) //nolint:gosec // a name, no secret
	}
	return c
}

// Valid tells whether it names anything.
func (c Context) Valid() bool { return c.trace != [16]byte{} }

// TraceID is the name of the whole work, 32 hexadecimal digits; "" of nothing.
func (c Context) TraceID() string {
	if !c.Valid() {
		return ""
	}
	return hex.EncodeToString(c.trace[:])
}

// String is the traceparent; "" of nothing.
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

// Parse reads a traceparent, to the letter of the specification: lower case, no id of
// zeros, nothing after it in version 00. Of a later version it reads what this one knows.
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

// decode reads lower-case hexadecimal; hex.Decode would take upper case as well.
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

// Into is ctx with a name for what is done under it.
func Into(ctx context.Context, c Context) context.Context { return context.WithValue(ctx, key{}, c) }

// From is the name of what is done under ctx; the zero value if it has none.
func From(ctx context.Context) Context {
	c, _ := ctx.Value(key{}).(Context)
	return c
}
