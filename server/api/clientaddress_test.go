package api_test

import (
	"net/http"
	"net/netip"
	"strings"
	"testing"

	"github.com/JDevAman/kizo/internal/testkit"
	"github.com/JDevAman/kizo/openapi"
	"github.com/JDevAman/kizo/server/api"
)

func mustParseProxies(t testing.TB, text string) api.TrustedProxies {
	t.Helper()
	proxies, err := api.ParseTrustedProxies(text)
	testkit.Must(t, err)
	return proxies
}

func TestTrustedProxiesAreReadStrictly(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]int{
		"": 0, " ": 0, "10.0.0.0/8": 1, "10.1.2.3": 1, "10.0.0.0/8, fd00::/8,127.0.0.1": 3, "::ffff:10.0.0.0/104": 1, "::1": 1,
	} {
		if got := mustParseProxies(t, text); len(got) != want {
			t.Errorf("%q: %v", text, got)
		}
	}
	for text, says := range map[string]string{
		"proxy.example": "not a network", "10.0.0.0/33": "not a network", "10.0.0.0/8,": "not a network", ",": "not a network", "10.0.0.0/8;fd00::/8": "not a network",
		"0.0.0.0/0": "contains every address", "::/0": "contains every address", "::ffff:0:0/96": "contains every address",
		"10.1.2.3/8": "10.0.0.0/8", "fd00::1/8": "fd00::/8", "fe80::1%eth0": "not a network",
	} {
		if _, err := api.ParseTrustedProxies(text); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%q: %v, want %q", text, err, says)
		}
	}
}

func TestClientAddress(t *testing.T) {
	t.Parallel()
	proxies := mustParseProxies(t, "127.0.0.1,10.0.0.0/8,fd00::/8")
	for _, c := range []struct {
		name, peer string
		forwarded  []string
		want       string
	}{
		{"no proxy", "203.0.113.7", nil, "203.0.113.7"},
		{"a header of a client that is no proxy", "203.0.113.7", []string{"198.51.100.1"}, "203.0.113.7"},
		{"a client that claims to be a proxy", "203.0.113.7", []string{"10.0.0.1"}, "203.0.113.7"},
		{"a proxy without a header", "10.0.0.1", nil, "10.0.0.1"},
		{"one proxy", "10.0.0.1", []string{"203.0.113.7"}, "203.0.113.7"},
		{"two proxies", "10.0.0.1", []string{"203.0.113.7, 10.9.9.9"}, "203.0.113.7"},
		{"the client wrote the beginning", "10.0.0.1", []string{"198.51.100.1, 203.0.113.7"}, "203.0.113.7"},
		{"the client named a proxy of ours", "10.0.0.1", []string{"198.51.100.1, 10.3.3.3, 203.0.113.7, 10.9.9.9"}, "203.0.113.7"},
		{"several fields", "10.0.0.1", []string{"198.51.100.1", "203.0.113.7", "10.9.9.9"}, "203.0.113.7"},
		{"only proxies", "10.0.0.1", []string{"10.2.2.2, 10.9.9.9"}, "10.2.2.2"},
		{"an address with a port", "10.0.0.1", []string{"203.0.113.7:55123"}, "203.0.113.7"},
		{"IPv6", "fd00::1", []string{"2001:db8::7"}, "2001:db8::7"},
		{"IPv6 in brackets", "fd00::1", []string{"[2001:db8::7]"}, "2001:db8::7"},
		{"IPv6 with a port", "fd00::1", []string{"[2001:db8::7]:443"}, "2001:db8::7"},
		{"IPv6 with a zone", "fd00::1", []string{"fe80::7%eth0"}, "fe80::7"},
		{"an IPv4-mapped proxy", "::ffff:10.0.0.1", []string{"203.0.113.7"}, "203.0.113.7"},
		{"an IPv4-mapped client", "10.0.0.1", []string{"::ffff:203.0.113.7"}, "203.0.113.7"},
		{"an IPv4-mapped proxy in the list", "10.0.0.1", []string{"203.0.113.7, ::ffff:10.9.9.9"}, "203.0.113.7"},
		{"an IPv4-mapped peer that is no proxy", "::ffff:203.0.113.7", []string{"198.51.100.1"}, "203.0.113.7"},
		{"no address", "10.0.0.1", []string{"unknown"}, "10.0.0.1"},
		{"no address behind one", "10.0.0.1", []string{"198.51.100.1, unknown, 10.9.9.9"}, "10.9.9.9"},
		{"empty", "10.0.0.1", []string{""}, "10.0.0.1"},
		{"an empty hop", "10.0.0.1", []string{"203.0.113.7,"}, "10.0.0.1"},
		{"control characters", "10.0.0.1", []string{"203.0.113.7\x1b[31m"}, "10.0.0.1"},
	} {
		var fields [][]byte
		for _, f := range c.forwarded {
			fields = append(fields, []byte(f))
		}
		if got := proxies.ClientOf(netip.MustParseAddr(c.peer), fields).String(); got != c.want {
			t.Errorf("%s: %s, want %s", c.name, got, c.want)
		}
	}
}

// TestSessionsShowTheClient: a session shows its client's address. Neither an X-Forwarded-For that
// does not come from the trusted proxy nor similar header fields change it.
func TestSessionsShowTheClient(t *testing.T) {
	t.Parallel()
	siblings := map[string]string{
		"Forwarded": "for=198.51.100.66", "X-Real-Ip": "198.51.100.66", "X-Client-Ip": "198.51.100.66", "True-Client-Ip": "198.51.100.66",
		"Cf-Connecting-Ip": "198.51.100.66", "X-Cluster-Client-Ip": "198.51.100.66", "X-Forwarded": "for=198.51.100.66",
	}
	for _, c := range []struct{ name, trusted, forwarded, want string }{
		{"trusted", "127.0.0.1", "198.51.100.1, 203.0.113.7", "203.0.113.7"},
		{"trusted, without the field", "127.0.0.1", "", "127.0.0.1"},
		{"not trusted", "10.0.0.0/8", "203.0.113.7", "127.0.0.1"},
		{"no proxies", "", "203.0.113.7", "127.0.0.1"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			h := newFixture(t, func(o *options) { o.proxies = mustParseProxies(t, c.trusted) })
			alice := h.signUp("alice")
			logIn := ask{method: "POST", path: "/v1/auth/login", body: fields{"login": "alice", "password": password}, headers: map[string]string{}}
			for name, value := range siblings {
				logIn.headers[name] = value
			}
			if c.forwarded != "" {
				logIn.headers["X-Forwarded-For"] = c.forwarded
			}
			h.do(logIn).want(http.StatusOK)
			list := read[openapi.SessionList](h.get(alice, "/v1/sessions").want(http.StatusOK))
			if len(list.Items) != 2 {
				t.Fatalf("%d sessions", len(list.Items))
			}
			var seen []string
			for _, s := range list.Items {
				seen = append(seen, text(s.Address))
			}
			if !strings.Contains(strings.Join(seen, " ")+" ", c.want+" ") || strings.Contains(strings.Join(seen, " "), "198.51.100.66") {
				t.Errorf("the sessions came from %v, want one from %s", seen, c.want)
			}
		})
	}
}
