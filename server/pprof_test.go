package server_test

import (
	"io"
	"net/http"
	"testing"

	"github.com/JDevAman/kizo/internal/testkit"
	"github.com/JDevAman/kizo/server/embedded/pgtest"
)

// Profiles have a listener of their own, which refuses requests with another Host: a web page may
// reach it under a name that resolves to loopback.
func TestPprofListener(t *testing.T) {
	t.Parallel()
	c := config(t, pgtest.New(t).AppURL)
	if s := start(t, c); s.PprofURL() != "" {
		t.Errorf("profiles are served on %s without being configured", s.PprofURL())
	}
	c.PprofListen = "127.0.0.1:0"
	s := start(t, c)
	for _, test := range []struct {
		path, host string
		want       int
	}{
		{"/debug/pprof/", "", http.StatusOK},
		{"/debug/pprof/goroutine?debug=1", "localhost", http.StatusOK},
		{"/debug/pprof/heap", "localhost:7423", http.StatusOK},
		{"/debug/pprof/heap", "[::1]:7423", http.StatusOK},
		{"/debug/pprof/heap", "[::1]", http.StatusOK},
		{"/debug/pprof/heap", "127.0.0.1.evil.example:7423", http.StatusForbidden},
		{"/debug/pprof/heap", "evil.example", http.StatusForbidden},
		{"/debug/pprof/heap", "10.1.2.3", http.StatusForbidden},
		{"/debug/pprof/cmdline", "", http.StatusNotFound},
		{"/metrics", "", http.StatusNotFound},
	} {
		request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, s.PprofURL()+test.path, http.NoBody)
		testkit.Must(t, err)
		request.Host = test.host
		response, err := http.DefaultClient.Do(request)
		testkit.Must(t, err)
		_, err = io.Copy(io.Discard, response.Body)
		testkit.Must(t, err)
		testkit.Must(t, response.Body.Close())
		if response.StatusCode != test.want {
			t.Errorf("%s for %q: status %d, want %d", test.path, test.host, response.StatusCode, test.want)
		}
	}
	for _, address := range []string{"0.0.0.0:0", ":0", "[::]:0", "192.0.2.1:0", "kizo.example:0"} {
		c.PprofListen = address
		testkit.Contains(t, refused(t, c), "loopback")
	}
}
