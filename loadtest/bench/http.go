package main

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"net"
	"time"

	"github.com/google/uuid"
	"github.com/valyala/fasthttp"

	"github.com/JDevAman/kizo/loadtest/rig"
)

// requestTimeout bounds the wait for a response.
const requestTimeout = 30 * time.Second

// connection is one keep-alive connection with its request and response, which are
// reused: the generator shares the CPUs with what it measures.
type connection struct {
	client   fasthttp.HostClient
	request  *fasthttp.Request
	response *fasthttp.Response
	body     []byte
}

// connect returns a connection for POST requests to a path, which opens with its first
// request and again after a failure. From is a loopback address, or nil for any.
func connect(address string, from net.IP, path string) *connection {
	dialer := net.Dialer{Timeout: 5 * time.Second}
	if from != nil {
		dialer.LocalAddr = &net.TCPAddr{IP: from}
	}
	const size = 1 << 10 // of a request or response; a longer one takes several reads
	c := &connection{request: fasthttp.AcquireRequest(), response: fasthttp.AcquireResponse()}
	c.client = fasthttp.HostClient{
		Addr: address, MaxConns: 1, Dial: func(address string) (net.Conn, error) { return dialer.Dial("tcp", address) },
		ReadBufferSize: size, WriteBufferSize: size, ReadTimeout: requestTimeout,
		MaxIdemponentCallAttempts: 1, NoDefaultUserAgentHeader: true, DisableHeaderNamesNormalizing: true,
	}
	c.request.Header.DisableNormalizing()
	c.response.Header.DisableNormalizing()
	c.request.Header.SetMethod(fasthttp.MethodPost)
	c.request.SetRequestURI("http://" + address + path)
	c.request.Header.SetContentType("application/json")
	return c
}

// send sends the request and classifies the response: want and a body that contains
// text mean accepted.
func (c *connection) send(want int, text []byte) (outcome, error) {
	c.request.SetBodyRaw(c.body)
	if err := c.client.Do(c.request, c.response); err != nil {
		return failed, err
	}
	status := c.response.StatusCode()
	switch {
	case status == want && bytes.Contains(c.response.Body(), text):
		return accepted, nil
	case status == fasthttp.StatusTooManyRequests || status == fasthttp.StatusServiceUnavailable:
		if len(c.response.Header.Peek("Retry-After")) == 0 {
			return failed, fmt.Errorf("%d without Retry-After: %s", status, c.response.Body())
		}
		return shed, nil
	case status < 500:
		return refused, fmt.Errorf("%d: %s", status, c.response.Body())
	default:
		return failed, fmt.Errorf("%d: %s", status, c.response.Body())
	}
}

var postedState = []byte(`"state":"posted"`)

// payments makes transfers of one minor unit, each with a key of its own.
func payments(address string, users []rig.User, pair pair) caller {
	c := connect(address, nil, "/v1/transfers")
	return func() (outcome, error) {
		i, j := pair(len(users))
		from, to := &users[i], &users[j]
		c.request.Header.Set("Authorization", "Bearer "+from.AccessToken)
		c.request.Header.Set("Idempotency-Key", newKey())
		c.body = fmt.Appendf(c.body[:0], `{"to":"@%s","amount":1,"currency":"USD"}`, to.Handle)
		return c.send(fasthttp.StatusCreated, postedState)
	}
}

func newKey() string { return uuid.Must(uuid.NewV7()).String() }

// signIns logs users in with their passwords, each user in turn.
func signIns(address string, n, callers int, users []rig.User) caller {
	c := connect(address, net.IPv4(127, 8, byte(n>>8), byte(n)), "/v1/auth/login")
	next := n
	return func() (outcome, error) {
		u := users[next%len(users)]
		next += callers
		c.body = fmt.Appendf(c.body[:0], `{"login":"@%s","password":%q}`, u.Handle, u.Password)
		return c.send(fasthttp.StatusOK, []byte("access_token"))
	}
}

// guesses tries wrong passwords, each of another user, from many addresses of this
// machine.
func guesses(address string, n int, users []rig.User) caller {
	c := connect(address, net.IPv4(127, 9, byte(n>>8), byte(n)), "/v1/auth/login")
	next := n
	return func() (outcome, error) {
		next += 7919
		c.body = fmt.Appendf(c.body[:0], `{"login":"@%s","password":"not the password %d"}`, users[next%len(users)].Handle, next)
		return c.send(fasthttp.StatusUnauthorized, []byte("invalid_credentials"))
	}
}

// pair draws two different numbers below n: the sender and the receiver of a transfer.
type pair func(n int) (from, to int)

func anyPair(n int) (from, to int) {
	from, to = rand.IntN(n), rand.IntN(n-1) //nolint:gosec // a load, not a secret
	if to >= from {
		to++
	}
	return from, to
}

// toFirst draws a sender for the one receiver, fromFirst a receiver for the one sender.
func toFirst(n int) (from, to int) { return 1 + rand.IntN(n-1), 0 } //nolint:gosec // a load, not a secret

func fromFirst(n int) (from, to int) { return 0, 1 + rand.IntN(n-1) } //nolint:gosec // a load, not a secret
