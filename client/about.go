package client

import (
	"context"
	"crypto/tls"
	"errors"
	"net/http"
	"time"
)

// VersionHeader is the header in which a server names its version on its first page.
const VersionHeader = "Kizo-Version"

// About is what a server says about itself to everyone.
type About struct {
	Version string        // of kizod, such as v0.1.0
	Clock   time.Time     // in whole seconds
	Took    time.Duration // the request

	TLS *tls.ConnectionState // of the connection; nil without encryption
}

// About asks a server for its version and its time. It needs no session, and does not repeat the
// request.
func (c *Client) About(ctx context.Context) (About, error) {
	request, err := newRequest(c.server, http.MethodHead, "/", nil)
	if err != nil {
		return About{}, err
	}
	began := c.now()
	got, err := c.attempt(inTrace(ctx), operation{request: request, anonymous: true}, "")
	if err != nil {
		return About{}, err
	}
	about := About{Version: got.header.Get(VersionHeader), Took: c.now().Sub(began), TLS: got.tls}
	if about.Version == "" {
		return About{}, c.protocolError(errors.New("it has no " + VersionHeader))
	}
	if about.Clock, err = http.ParseTime(got.header.Get("Date")); err != nil {
		return About{}, c.protocolError(errors.New("it has no Date"))
	}
	return about, nil
}
