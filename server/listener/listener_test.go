package listener_test

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"os"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"

	"github.com/JDevAman/kizo/internal/testkit"
	"github.com/JDevAman/kizo/server/listener"
)

// failing is a net.Listener whose Accept returns the errors first.
type failing struct {
	net.Listener
	mu   sync.Mutex
	errs []error
}

func (f *failing) Accept() (net.Conn, error) {
	f.mu.Lock()
	if len(f.errs) > 0 {
		err := f.errs[0]
		f.errs = f.errs[1:]
		f.mu.Unlock()
		return nil, &net.OpError{Op: "accept", Net: "tcp", Err: os.NewSyscallError("accept4", err)}
	}
	f.mu.Unlock()
	return f.Listener.Accept()
}

func listen(t testing.TB) net.Listener {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	testkit.Must(t, err)
	t.Cleanup(func() { _ = l.Close() })
	return l
}

func dialFrom(t testing.TB, from string, to net.Addr) net.Conn {
	t.Helper()
	dialer := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(from)}, Timeout: 10 * time.Second}
	conn, err := dialer.Dial("tcp", to.String())
	testkit.Must(t, err)
	t.Cleanup(func() { _ = conn.Close() })
	testkit.Must(t, conn.SetDeadline(time.Now().Add(20*time.Second)))
	return conn
}

func TestAcceptRetriesAfterTemporaryErrors(t *testing.T) {
	t.Parallel()
	for _, err := range []error{
		syscall.EMFILE, syscall.ENFILE, syscall.ENOBUFS, syscall.ENOMEM, syscall.EAGAIN, syscall.EINTR, syscall.ECONNABORTED,
		syscall.ECONNRESET, syscall.EPROTO, syscall.EPERM, syscall.ENETDOWN, syscall.EHOSTUNREACH, syscall.ETIMEDOUT,
	} {
		metrics := listener.NewMetrics()
		inner := &failing{Listener: listen(t), errs: []error{err, err, err}}
		l := listener.New(inner, listener.Config{Name: "test", Metrics: metrics})
		dialFrom(t, "127.0.0.1", l.Addr())
		conn, got := l.Accept()
		if got != nil {
			t.Errorf("%v ends the listener: %v", err, got)
			continue
		}
		testkit.Must(t, conn.Close())
		if n := count(t, metrics, "kizo_accept_errors_total"); n != 3 {
			t.Errorf("%v: %v accept errors are counted", err, n)
		}
	}
	for _, err := range []error{syscall.EBADF, syscall.EINVAL, net.ErrClosed, io.EOF} {
		l := listener.New(&failing{Listener: listen(t), errs: []error{err}}, listener.Config{})
		if _, got := l.Accept(); !errors.Is(got, err) {
			t.Errorf("%v becomes %v", err, got)
		}
	}
}

func TestCloseEndsTheBackOff(t *testing.T) {
	t.Parallel()
	errs := make([]error, 1000)
	for i := range errs {
		errs[i] = syscall.ENFILE
	}
	metrics := listener.NewMetrics()
	l := listener.New(&failing{Listener: listen(t), errs: errs}, listener.Config{Name: "test", Metrics: metrics})
	ended := make(chan error, 1)
	go func() {
		_, err := l.Accept()
		ended <- err
	}()
	testkit.Eventually(t, "Accept waits", func() bool { return count(t, metrics, "kizo_accept_errors_total") > 3 })
	testkit.Must(t, l.Close())
	if err := <-ended; !errors.Is(err, net.ErrClosed) {
		t.Errorf("after Close: %v", err)
	}
}

const refusal = "HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"

// served is an HTTP server behind a Listener. A request for /wait is answered when
// release is closed.
type served struct {
	*listener.Listener
	metrics *listener.Metrics
	waiting chan struct{} // one entry for each request that waits
	release chan struct{}
	idle    chan struct{} // one entry each time a connection has become idle
}

func serve(t *testing.T, config listener.Config) *served {
	t.Helper()
	config.Metrics, config.Name, config.Refusal = listener.NewMetrics(), "test", func() []byte { return []byte(refusal) }
	s := &served{
		Listener: listener.New(listen(t), config), metrics: config.Metrics,
		waiting: make(chan struct{}, 64), release: make(chan struct{}), idle: make(chan struct{}, 64),
	}
	server := &http.Server{
		ConnState: func(conn net.Conn, state http.ConnState) {
			listener.Track(conn, state)
			if state == http.StateIdle {
				s.idle <- struct{}{}
			}
		},
		ReadHeaderTimeout: 20 * time.Second,
		Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path == "/wait" {
				s.waiting <- struct{}{}
				<-s.release
			}
			fmt.Fprint(w, "served")
		}),
	}
	ended := make(chan error, 1)
	go func() { ended <- server.Serve(s.Listener) }()
	t.Cleanup(func() {
		_ = server.Close()
		<-ended
	})
	return s
}

// admitted waits until n connections are open on the server's side.
func (s *served) admitted(t *testing.T, n int) {
	t.Helper()
	testkit.Eventually(t, fmt.Sprint(n, " connections are open"), func() bool { return count(t, s.metrics, "kizo_connections") == float64(n) })
}

// request sends a request, without waiting for the response.
func request(t *testing.T, conn net.Conn, path string) {
	t.Helper()
	_, err := fmt.Fprintf(conn, "GET %s HTTP/1.1\r\nHost: x\r\n\r\n", path)
	testkit.Must(t, err)
}

// reads returns the status and body of one response; 0 if the connection was closed.
func reads(t *testing.T, conn net.Conn) (int, string) {
	t.Helper()
	response, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		if timeout, ok := errors.AsType[net.Error](err); ok && timeout.Timeout() {
			t.Fatal("no response within 20 s")
		}
		return 0, ""
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	testkit.Must(t, err)
	return response.StatusCode, string(body)
}

func wantServed(t *testing.T, what string, conn net.Conn) {
	t.Helper()
	request(t, conn, "/")
	if status, _ := reads(t, conn); status != http.StatusOK {
		t.Errorf("%s: status %d", what, status)
	}
}

// accepted has both ends of a connection.
type accepted struct {
	client net.Conn
	*listener.Conn
}

func accept(t *testing.T, l *listener.Listener, from string) accepted {
	t.Helper()
	client := dialFrom(t, from, l.Addr())
	conn, err := l.Accept()
	testkit.Must(t, err)
	placed, ok := conn.(*listener.Conn)
	if !ok {
		t.Fatalf("accepted %T", conn)
	}
	t.Cleanup(func() { _ = placed.Close() })
	return accepted{client, placed}
}

// works serves one request.
func (a accepted) works(t *testing.T) {
	t.Helper()
	if !a.Begin() {
		t.Fatal("the connection is closed")
	}
	a.End()
}

func (a accepted) wantClosed(t *testing.T) {
	t.Helper()
	if _, err := a.client.Read(make([]byte, 1)); err == nil || errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("the connection is not closed: %v", err)
	}
	if a.Begin() {
		t.Error("a closed connection may serve")
	}
}

func TestOldestIdleConnectionIsClosedFirst(t *testing.T) {
	t.Parallel()
	metrics := listener.NewMetrics()
	l := listener.New(listen(t), listener.Config{Max: 4, Metrics: metrics})
	a, b, c, d := accept(t, l, "127.0.0.1"), accept(t, l, "127.0.0.2"), accept(t, l, "127.0.0.3"), accept(t, l, "127.0.0.4")
	a.works(t)
	b.Touch()
	c.Begin() // the order is now d, a, b
	for _, oldest := range []accepted{d, a, b} {
		accept(t, l, "127.0.0.5").Begin()
		oldest.wantClosed(t)
	}
	c.works(t)
	if n := count(t, metrics, "kizo_connections_closed_idle_total"); n != 3 {
		t.Errorf("%v connections were closed", n)
	}
	if n := count(t, metrics, "kizo_connections"); n != 4 {
		t.Errorf("%v connections are open", n)
	}
}

func TestConnectionsOfOneAddress(t *testing.T) {
	t.Parallel()
	l := listener.New(listen(t), listener.Config{Max: 100, PerAddress: 2})
	other := accept(t, l, "127.0.0.2")
	var mine []accepted
	for range 5 {
		mine = append(mine, accept(t, l, "127.0.0.1"))
	}
	for _, old := range mine[:3] {
		old.wantClosed(t)
	}
	for _, open := range append(mine[3:], other) {
		open.works(t)
	}
}

func TestExemptAddressesHaveNoLimit(t *testing.T) {
	t.Parallel()
	s := serve(t, listener.Config{Max: 100, PerAddress: 2, Exempt: func(a netip.Addr) bool { return a.String() == "127.0.0.1" }})
	var conns []net.Conn
	for range 10 {
		conns = append(conns, dialFrom(t, "127.0.0.1", s.Addr()))
	}
	for _, conn := range conns {
		wantServed(t, "a connection of the proxy", conn)
	}
	if n := count(t, s.metrics, "kizo_connections_closed_idle_total"); n != 0 {
		t.Errorf("%v connections were closed", n)
	}
}

// A connection with a request in progress is never closed: when all ordinary connections
// are busy, new ones take the reserved places, and further ones are refused.
func TestBusyConnectionsStay(t *testing.T) {
	t.Parallel()
	s := serve(t, listener.Config{Max: 4, Reserved: 1})
	var working []net.Conn
	for range 4 {
		conn := dialFrom(t, "127.0.0.1", s.Addr())
		request(t, conn, "/wait")
		<-s.waiting
		working = append(working, conn)
	}
	refused := dialFrom(t, "127.0.0.2", s.Addr())
	request(t, refused, "/")
	if status, _ := reads(t, refused); status != http.StatusServiceUnavailable {
		t.Errorf("with all connections busy: status %d", status)
	}
	close(s.release)
	for _, conn := range working {
		if status, _ := reads(t, conn); status != http.StatusOK {
			t.Errorf("a request in progress: status %d", status)
		}
		<-s.idle // the client may read the response before that
	}
	wantServed(t, "afterwards", dialFrom(t, "127.0.0.2", s.Addr()))
	if n := count(t, s.metrics, "kizo_connections_refused_total"); n != 1 {
		t.Errorf("%v connections were refused", n)
	}
}

func TestReservedPlacesAreRestricted(t *testing.T) {
	t.Parallel()
	l := listener.New(listen(t), listener.Config{Max: 4, Reserved: 2})
	busy := func(from string) accepted {
		t.Helper()
		a := accept(t, l, from)
		a.Begin()
		return a
	}
	first, second := busy("127.0.0.1"), busy("127.0.0.1")
	third := busy("127.0.0.2")
	if first.Restricted() || second.Restricted() || !third.Restricted() {
		t.Error("the third connection must be restricted, and no other")
	}
	third.End()
	busy("127.0.0.3") // the fourth place
	fifth := busy("127.0.0.4")
	if !fifth.Restricted() || third.Begin() {
		t.Error("the idle restricted connection must be closed for the next one")
	}
	testkit.Must(t, first.Close())
	if next := busy("127.0.0.5"); next.Restricted() {
		t.Error("restricted although a place is free")
	}
}

func TestAllPlacesAreReleased(t *testing.T) {
	t.Parallel()
	s := serve(t, listener.Config{Max: 50, PerAddress: 20})
	var clients sync.WaitGroup
	for i := range 8 {
		clients.Go(func() {
			for range 40 {
				conn, err := (&net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(fmt.Sprint("127.0.0.", 1+i%3))}}).Dial("tcp", s.Addr().String())
				if err != nil {
					t.Error(err)
					return
				}
				if i%2 == 0 {
					_, _ = io.WriteString(conn, "GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
					_, _ = io.Copy(io.Discard, conn)
				}
				_ = conn.Close()
			}
		})
	}
	clients.Wait()
	s.admitted(t, 0)
}

// count sums a metric over its labels.
func count(t testing.TB, m *listener.Metrics, name string) (sum float64) {
	t.Helper()
	for _, c := range m.Collectors() {
		for _, metric := range collect(c) {
			if strings.Contains(metric.desc, `"`+name+`"`) {
				sum += metric.GetGauge().GetValue() + metric.GetCounter().GetValue()
			}
		}
	}
	return sum
}

type sample struct {
	desc string
	*dto.Metric
}

func collect(c prometheus.Collector) (samples []sample) {
	out := make(chan prometheus.Metric, 64)
	go func() {
		c.Collect(out)
		close(out)
	}()
	for metric := range out {
		var m dto.Metric
		if metric.Write(&m) == nil {
			samples = append(samples, sample{metric.Desc().String(), &m})
		}
	}
	return samples
}
