package client

import (
	"context"
	"errors"
	"net"
	"net/url"
)

// noAnswer is a network error for people. It keeps the cause for errors.Is.
type noAnswer struct {
	text  string
	cause error
}

func (e *noAnswer) Error() string { return e.text }
func (e *noAnswer) Unwrap() error { return e.cause }

// plain says what happened without the method and address that Go puts around it: the address is said
// once already, and the path of a request is nothing to a person.
func plain(err error) error {
	var wrapped *url.Error
	if errors.As(err, &wrapped) {
		err = wrapped.Err
	}
	var timeout net.Error
	switch {
	case errors.Is(err, context.Canceled):
		return &noAnswer{"interrupted", err}
	case errors.Is(err, context.DeadlineExceeded), errors.As(err, &timeout) && timeout.Timeout():
		return &noAnswer{"it took too long", err}
	}
	var dial *net.OpError
	if !errors.As(err, &dial) {
		return err
	}
	switch dial.Op {
	case "dial":
		return &noAnswer{dial.Err.Error(), err}
	case "proxyconnect", "socks connect":
		var proxy *net.OpError // the connection to the proxy itself, inside
		if errors.As(dial.Err, &proxy) && proxy.Addr != nil {
			return &noAnswer{"the proxy " + proxy.Addr.String() + ": " + proxy.Err.Error(), err}
		}
		return &noAnswer{"the proxy: " + dial.Err.Error(), err}
	}
	return err
}
