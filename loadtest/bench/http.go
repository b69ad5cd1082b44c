package main

import (
	"bufio"
	"bytes"
	"fmt"
	"math/rand/v2"
	"net"
	"strconv"
	"time"

	"github.com/google/uuid"
	"github.com/valyala/fasthttp"

	"github.com/JDevAman/kizo/loadtest/rig"
)

// requestTimeout is the minimum timeout of a request; the maximum is twice that.
const requestTimeout = 30 * time.Second

// connection is one keep-alive connection with its request and response, which are
// reused. It is fasthttp's client without its pool and timers: the generator shares the
// CPUs with what it measures.
type connection struct {
	address  string
	from     net.IP // a loopback address, or nil for any
	conn     net.Conn
	in       *bufio.Reader
	out      *bufio.Writer
	expires  time.Time
	request  *fasthttp.Request
	response *fasthttp.Response
	body     []byte
}

// connect returns a connection that opens with its first request.
func connect(address string, from net.IP) *connection {
	c := &connection{address: address, from: from, request: fasthttp.AcquireRequest(), response: fasthttp.AcquireResponse()}
	c.request.Header.DisableNormalizing()
	c.request.Header.SetNoDefaultContentType(true)
	c.response.Header.DisableNormalizing()
	return c
}

func (c *connection) open() error {
	dialer := net.Dialer{Timeout: 5 * time.Second}
	if c.from != nil {
		dialer.LocalAddr = &net.TCPAddr{IP: c.from}
	}
	conn, err := dialer.Dial("tcp", c.address)
	if err != nil {
		return err
	}
	const size = 1 << 10 // of a request or response; a longer one takes several reads
	c.conn, c.in, c.out = conn, bufio.NewReaderSize(conn, size), bufio.NewWriterSize(conn, size)
	c.expires = time.Time{}
	return nil
}

// exchange sends the request and reads the response, on a new connection if the last
// one failed or was closed by the server.
func (c *connection) exchange() error {
	if c.conn == nil {
		if err := c.open(); err != nil {
			return err
		}
	}
	err := c.attempt()
	if err != nil || c.response.ConnectionClose() {
		_ = c.conn.Close()
		c.conn = nil
	}
	return err
}

func (c *connection) attempt() error {
	if now := time.Now(); c.expires.Sub(now) < requestTimeout {
		c.expires = now.Add(2 * requestTimeout) // set rarely: each call costs a timer
		if err := c.conn.SetDeadline(c.expires); err != nil {
			return err
		}
	}
	if err := c.request.Write(c.out); err != nil {
		return err
	}
	if err := c.out.Flush(); err != nil {
		return err
	}
	return c.response.Read(c.in)
}

func (c *connection) post(url string) {
	c.request.Header.SetMethod(fasthttp.MethodPost)
	c.request.SetRequestURI(url)
	c.request.Header.SetContentType("application/json")
}

// send sends the request and classifies the response: want and a body that contains
// text mean accepted.
func (c *connection) send(want int, text []byte) (outcome, error) {
	c.request.SetBodyRaw(c.body)
	if err := c.exchange(); err != nil {
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
	c := connect(address, nil)
	c.post("http://" + address + "/v1/transfers")
	return func() (outcome, error) {
		i, j := pair(len(users))
		from, to := &users[i], &users[j]
		c.request.Header.Set("Authorization", "Bearer "+from.AccessToken)
		c.request.Header.Set("Idempotency-Key", newKey())
		c.body = append(c.body[:0], `{"to":"@`...)
		c.body = append(c.body, to.Handle...)
		c.body = append(c.body, `","amount":1,"currency":"USD"}`...)
		return c.send(fasthttp.StatusCreated, postedState)
	}
}

func newKey() string { return uuid.Must(uuid.NewV7()).String() }

// signIns logs users in with their passwords, each user in turn.
func signIns(address string, n, callers int, users []rig.User) caller {
	c := connect(address, net.IPv4(127, 8, byte(n>>8), byte(n)))
	c.post("http://" + address + "/v1/auth/login")
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
	c := connect(address, net.IPv4(127, 9, byte(n>>8), byte(n)))
	c.post("http://" + address + "/v1/auth/login")
	next := n
	return func() (outcome, error) {
		next += 7919
		c.body = append(c.body[:0], `{"login":"@`...)
		c.body = append(c.body, users[next%len(users)].Handle...)
		c.body = append(c.body, `","password":"not the password `...)
		c.body = strconv.AppendInt(c.body, int64(next), 10)
		c.body = append(c.body, `"}`...)
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
