//go:build unix

package main

import (
	"io"
	"net"
	"sync"
	"testing"

	"github.com/JDevAman/kizo/internal/testkit"
)

// proxy is a TCP proxy to a server that can be disconnected and connected again.
type proxy struct {
	t       *testing.T
	address string
	target  string // host:port

	mu       sync.Mutex
	listener net.Listener
	open     []net.Conn
}

func newProxy(t *testing.T, target string) *proxy {
	c := &proxy{t: t, address: "127.0.0.1:0", target: target}
	c.connect()
	t.Cleanup(c.disconnect)
	return c
}

// connect accepts connections and forwards them to the current target.
func (c *proxy) connect() {
	c.t.Helper()
	listener, err := net.Listen("tcp", c.address)
	if err != nil {
		c.t.Fatal(err)
	}
	c.address, c.listener = listener.Addr().String(), listener
	go func() {
		for {
			near, err := listener.Accept()
			if err != nil {
				return
			}
			far, err := net.Dial("tcp", c.target)
			if err != nil {
				near.Close()
				continue
			}
			c.mu.Lock()
			c.open = append(c.open, near, far)
			c.mu.Unlock()
			join := func(to, from net.Conn) { _, _ = io.Copy(to, from); to.Close(); from.Close() }
			go join(near, far)
			go join(far, near)
		}
	}()
}

// disconnect closes the listener and all connections.
func (c *proxy) disconnect() {
	c.listener.Close()
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, end := range c.open {
		end.Close()
	}
	c.open = nil
}

// TestDashboardSurvivesAServerOutage kills the server and starts it again. Meanwhile the dashboard
// shows old data with its age; afterwards it shows what it missed.
func TestDashboardSurvivesAServerOutage(t *testing.T) {
	kizod, binary := ownKizod(t)
	proxy := newProxy(t, kizod.URL[len("http://"):])
	ada, bob := newPerson(t, "http://"+proxy.address, "adawaits"), newPerson(t, kizod.URL, "bobacts")
	bob.kizo("deposit", "50", "--wait=30s")
	bob.kizo("transfer", "@"+ada.handle, "5", "-m", "before")

	w := openWindow(t, 80, 24, ada.env, "dashboard")
	w.until("● LIVE", "5.00", "before")

	proxy.disconnect()
	kizod.kill()
	w.until("○ OFFLINE", "Reconnecting in", "r now", "cannot reach", "before")
	w.untilMatch(`OFFLINE [1-9][0-9]*s`) // the age grows
	w.types("2")                         // keys still work
	w.until("[2 Transfers]", "before", "OFFLINE")

	testkit.Must(t, kizod.start(binary))
	proxy.target = kizod.URL[len("http://"):]
	bob.env[0] = "KIZO_SERVER=" + kizod.URL
	bob.kizoWith("correct horse battery\n", "login", bob.handle, "--password-stdin") // its port is another one
	bob.kizo("transfer", "@"+ada.handle, "2.50", "-m", "missed")
	proxy.connect()
	w.types("r")
	w.until("● LIVE", "missed", "+2.50")
	w.types("1")
	w.until("[1 Wallet]", "7.50")
	w.types("q")
	if code := w.exitCode(); code != exitDone {
		t.Errorf("exit code %d", code)
	}
}
