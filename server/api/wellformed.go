package api

import (
	"bytes"
	"encoding/json"

	"github.com/JDevAman/kizo/openapi"
	"github.com/gofiber/fiber/v2"
	"github.com/google/uuid"
	"github.com/valyala/fasthttp"
)

// malformed returns what is wrong with the framing and the header of a request, or "". fasthttp has
// parsed the request, but it accepts more than RFC 9112 does. If a proxy in front of this server
// parses a request differently, a second request can be hidden in it.
func malformed(ctx *fasthttp.RequestCtx) string {
	header := &ctx.Request.Header
	if conn, ok := ctx.Conn().(*clientConn); ok && conn.requestLine.bareLF {
		return "the request line must end with CR LF"
	}
	protocol := string(header.Protocol())
	if protocol != "HTTP/1.1" && protocol != "HTTP/1.0" {
		return "this server speaks HTTP/1.1"
	}
	seen, reason := scanHeader(header.RawHeaders())
	switch {
	case reason != "":
		return reason
	case protocol == "HTTP/1.1" && len(header.Host()) == 0:
		return "the Host header field is missing"
	case !plainHost(header.Host()):
		return "the Host header field is not a host"
	case seen[fieldTransferEncoding] > 0 && seen[fieldContentLength] > 0:
		return "send Content-Length or Transfer-Encoding, not both"
	}
	for field, n := range seen {
		if n > 1 {
			return "send one " + singleFields[field] + " header field, not several"
		}
	}
	return ""
}

// The header fields that a request may have once. fasthttp itself rejects several Host and
// Content-Length fields.
const (
	fieldTransferEncoding = iota
	fieldContentLength
	fieldContentType
	fieldAuthorization
	fieldHost
	singleCount
)

var singleFields = [singleCount]string{"Transfer-Encoding", "Content-Length", "Content-Type", "Authorization", "Host"}

// scanHeader checks the header fields as they were sent, and counts those that may appear only
// once.
func scanHeader(raw []byte) (seen [singleCount]int, reason string) {
	for len(raw) > 0 {
		end := bytes.IndexByte(raw, '\n')
		if end < 1 || raw[end-1] != '\r' {
			return seen, "each line of the header must end with CR LF"
		}
		line := raw[:end-1]
		raw = raw[end+1:]
		if len(line) == 0 {
			return seen, "" // the end of the header
		}
		if line[0] == ' ' || line[0] == '\t' {
			return seen, "a header field must not be folded into several lines"
		}
		colon := bytes.IndexByte(line, ':')
		if colon < 1 || !isToken(line[:colon]) {
			return seen, "a header field's name has a character that is not allowed"
		}
		if bytes.IndexByte(line, '\r') >= 0 || bytes.IndexByte(line, 0) >= 0 {
			return seen, "a header field has a control character"
		}
		field := singleField(line[:colon])
		if field < 0 {
			continue
		}
		seen[field]++
		if field == fieldTransferEncoding && !bytes.EqualFold(bytes.Trim(line[colon+1:], " \t"), []byte("chunked")) {
			return seen, "the only Transfer-Encoding is chunked"
		}
	}
	return seen, ""
}

// singleField returns the index of a name in singleFields, or -1.
func singleField(name []byte) int {
	for i, single := range singleFields {
		if len(name) == len(single) && bytes.EqualFold(name, []byte(single)) {
			return i
		}
	}
	return -1
}

// tokenBytes are the characters of a token (RFC 9110, 5.6.2).
var tokenBytes = byteSet("!#$%&'*+-.^_`|~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz")

// hostBytes are the characters of a host and port that need no escape (RFC 3986, 3.2.2).
var hostBytes = byteSet("-._~!$&'()*+;=%:[]0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz")

func byteSet(members string) (set [256]bool) {
	for i := range len(members) {
		set[members[i]] = true
	}
	return set
}

func isToken(name []byte) bool   { return allIn(name, &tokenBytes) }
func plainHost(host []byte) bool { return allIn(host, &hostBytes) }

func allIn(text []byte, set *[256]bool) bool {
	for _, b := range text {
		if !set[b] {
			return false
		}
	}
	return true
}

// rejectMalformed answers 400 and closes the connection, because it is not certain where the next
// request begins.
func rejectMalformed(ctx *fasthttp.RequestCtx, detail string) {
	id := uuid.NewString()
	p := describe(openapi.ParameterMalformed, detail, "")
	p.RequestId = &id
	body, err := json.Marshal(p)
	if err != nil {
		body = nil // does not happen: a Problem contains only text and numbers
	}
	header := &ctx.Response.Header
	header.SetStatusCode(p.Status)
	header.SetContentType("application/problem+json")
	header.Set(fiber.HeaderXRequestID, id)
	header.Set(fiber.HeaderCacheControl, "no-store")
	ctx.SetConnectionClose()
	ctx.SetBody(body)
}

// requestLine scans the bytes of a connection for the end of a request's first line, of which
// fasthttp keeps no copy. It checks requests that begin with a read of their own, but not a request
// that was sent together with the one before it.
type requestLine struct {
	state    lineState
	nonEmpty bool // the line has characters
	last     byte
	bareLF   bool // a line ended without CR
}

type lineState int

const (
	lineAwaited lineState = iota // the next byte read begins a request
	lineOpen                     // its first line has not ended yet
	lineEnded
)

// read is called with the bytes that were read from the connection.
func (l *requestLine) read(b []byte) {
	if len(b) == 0 || l.state == lineEnded {
		return
	}
	l.state = lineOpen
	for {
		end := bytes.IndexByte(b, '\n')
		if end < 0 {
			l.nonEmpty, l.last = true, b[len(b)-1]
			return
		}
		before := l.last
		if end > 0 {
			before = b[end-1]
		}
		if before != '\r' {
			l.bareLF = true
		}
		if l.nonEmpty || end > 1 || l.bareLF {
			l.state = lineEnded
			return
		}
		b, l.last = b[end+1:], 0 // an empty line before the request
		if len(b) == 0 {
			return
		}
	}
}

// idle is called when a request has been answered.
func (l *requestLine) idle() { *l = requestLine{} }

// active is called when a request begins.
func (l *requestLine) active() {
	if l.state == lineAwaited {
		l.state = lineEnded // its bytes were read with those of the request before it
	}
}

// pageSecurity is the Content-Security-Policy of every answer but the landing page.
const pageSecurity = "default-src 'none'; frame-ancestors 'none'"

// secureFields are in every answer, in the spelling that fasthttp writes.
var secureFields = [][2][]byte{
	{[]byte(fiber.HeaderXContentTypeOptions), []byte("nosniff")},
	{[]byte(fiber.HeaderContentSecurityPolicy), []byte(pageSecurity)},
	{[]byte(fiber.HeaderReferrerPolicy), []byte("no-referrer")},
	{[]byte("Cross-Origin-Resource-Policy"), []byte("same-origin")},
	{[]byte(fiber.HeaderXFrameOptions), []byte("DENY")},
}

// secureHeader tells browsers not to guess the type of an answer and not to embed it.
func secureHeader(header *fasthttp.ResponseHeader) {
	for _, field := range secureFields {
		header.SetCanonical(field[0], field[1])
	}
}
