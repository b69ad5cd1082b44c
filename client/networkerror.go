package client

import (
	"context"
	"errors"
	"net"
	"net/url"
)

// networkError is a network error with a text for users. It wraps its cause.
type networkError struct {
	text  string
	cause error
}

func (e *networkError) Error() string { return e.text }
func (e *networkError) Unwrap() error { return e.cause }

// plain returns the cause of a network error without the method and address that net/http adds: an
// UnreachableError names the server already, and users do not know the paths of requests.
func plain(err error) error {
	if wrapped, ok := errors.AsType[*url.Error](err); ok {
		err = wrapped.Err
	}
	var timeout net.Error
	switch {
	case errors.Is(err, context.Canceled):
		return &networkError{"interrupted", err}
	case errors.Is(err, context.DeadlineExceeded), errors.As(err, &timeout) && timeout.Timeout():
		return &networkError{"it took too long", err}
	}
	dial, ok := errors.AsType[*net.OpError](err)
	if !ok {
		return err
	}
	switch dial.Op {
	case "dial":
		return &networkError{dial.Err.Error(), err}
	case "proxyconnect", "socks connect":
		if proxy, ok := errors.AsType[*net.OpError](dial.Err); ok && proxy.Addr != nil {
			return &networkError{"the proxy " + proxy.Addr.String() + ": " + proxy.Err.Error(), err}
		}
		return &networkError{"the proxy: " + dial.Err.Error(), err}
	}
	return err
}
