package client

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	"github.com/JDevAman/kizo/internal/testkit"
	"github.com/JDevAman/kizo/openapi"
)

// issuer is a server that rotates refresh tokens and ends a session at the first reuse.
type issuer struct {
	*httptest.Server
	mu        sync.Mutex
	current   int // number of the valid tokens
	refreshes int
	reused    bool
	stale     bool // the valid access token counts as expired
	lose      bool // the answer to the next refresh is lost
}

// seen returns the number of refreshes, and whether one used a token twice.
func (s *issuer) seen() (int, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.refreshes, s.reused
}

func newIssuer(t *testing.T) *issuer {
	t.Helper()
	s := &issuer{current: 1}
	mux := http.NewServeMux()
	mux.HandleFunc("POST /v1/auth/refresh", s.refresh)
	mux.HandleFunc("GET /v1/wallets", func(w http.ResponseWriter, request *http.Request) {
		s.mu.Lock()
		defer s.mu.Unlock()
		if s.stale || request.Header.Get("Authorization") != fmt.Sprintf("Bearer access-%d", s.current) {
			says(401, TokenExpired)(w, request)
			return
		}
		wallets(w, request)
	})
	s.Server = httptest.NewServer(mux)
	t.Cleanup(s.Close)
	return s
}

func (s *issuer) refresh(w http.ResponseWriter, request *http.Request) {
	var body openapi.Refresh
	_ = json.NewDecoder(request.Body).Decode(&body)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.refreshes++
	if s.reused || body.RefreshToken != fmt.Sprintf("refresh-%d", s.current) {
		s.reused = true
		says(401, RefreshTokenReused)(w, request)
		return
	}
	s.current++
	s.stale = false
	if s.lose {
		s.lose = false
		panic(http.ErrAbortHandler)
	}
	_ = json.NewEncoder(w).Encode(openapi.Tokens{
		AccessToken: fmt.Sprintf("access-%d", s.current), RefreshToken: fmt.Sprintf("refresh-%d", s.current), ExpiresIn: 900,
	})
}

func stored(t *testing.T, expires time.Time) TokenStore {
	t.Helper()
	store := new(memoryTokens)
	err := store.Update(t.Context(), func(Credentials) (Credentials, error) {
		return Credentials{AccessToken: "access-1", RefreshToken: "refresh-1", ExpiresAt: expires, User: User{Handle: "ada"}}, nil
	})
	testkit.Must(t, err)
	return store
}

func TestAnExpiredTokenIsRefreshedOnce(t *testing.T) {
	for name, expires := range map[string]time.Time{
		"known to be expired": time.Now().Add(-time.Minute),
		"refused":             time.Now().Add(time.Hour),
	} {
		t.Run(name, func(t *testing.T) {
			s := newIssuer(t)
			s.stale = true
			k, _ := dial(t, s.URL, stored(t, expires))
			_, err := k.Wallets(t.Context())
			if refreshes, _ := s.seen(); err != nil || refreshes != 1 {
				t.Errorf("%d refreshes, %v", refreshes, err)
			}
		})
	}
}

func TestConcurrentCallsRefreshOnce(t *testing.T) {
	s := newIssuer(t)
	store := stored(t, time.Now().Add(-time.Minute))
	var group sync.WaitGroup
	for range 20 {
		k, _ := dial(t, s.URL, store)
		group.Go(func() {
			if _, err := k.Wallets(t.Context()); err != nil {
				t.Error(err)
			}
		})
	}
	group.Wait()
	if refreshes, reused := s.seen(); refreshes != 1 || reused {
		t.Errorf("%d refreshes, reused %v", refreshes, reused)
	}
}

func TestLostRefreshIsNotRepeated(t *testing.T) {
	s := newIssuer(t)
	s.lose = true
	k, _ := dial(t, s.URL, stored(t, time.Now().Add(-time.Minute)))
	_, err := k.Wallets(t.Context())
	if refreshes, _ := s.seen(); err == nil || refreshes != 1 {
		t.Errorf("%d refreshes, %v", refreshes, err)
	}
}

func TestEndedSessionKeepsOnlyItsUser(t *testing.T) {
	s := newIssuer(t)
	s.reused = true
	store := stored(t, time.Now().Add(-time.Minute))
	k, _ := dial(t, s.URL, store)
	_, _ = k.Wallets(t.Context())
	_, err := k.Wallets(t.Context())
	if refreshes, _ := s.seen(); !errors.Is(err, ErrNotLoggedIn) || refreshes != 1 {
		t.Errorf("%d refreshes, %v", refreshes, err)
	}
	held, _ := store.Load(context.Background())
	if held.AccessToken != "" || held.RefreshToken != "" || held.User.Handle != "ada" {
		t.Errorf("%+v", held)
	}
}

func TestRefreshOutlivesACanceledCall(t *testing.T) {
	s := newIssuer(t)
	store := stored(t, time.Now().Add(-time.Minute))
	k, _ := dial(t, s.URL, store)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, _ = k.Wallets(ctx)
	if held, _ := store.Load(t.Context()); held.RefreshToken != "refresh-2" {
		t.Errorf("%+v", held)
	}
}

func TestAFixedTokenIsNeverRefreshed(t *testing.T) {
	s := newIssuer(t)
	k, _ := dial(t, s.URL, StaticToken("access-0"))
	_, err := k.Wallets(t.Context())
	var refused *Error
	if refreshes, _ := s.seen(); !errors.As(err, &refused) || refused.Code != TokenExpired || refreshes != 0 {
		t.Errorf("%d refreshes, %v", refreshes, err)
	}
}

func TestServerAddresses(t *testing.T) {
	for in, want := range map[string]string{
		"http://127.0.0.1:7420":     "http://127.0.0.1:7420",
		" HTTPS://Kizo.Example/ ":   "https://kizo.example",
		"https://kizo.example/api/": "https://kizo.example/api",
		"kizo.example":              "",
		"ftp://kizo.example":        "",
		"https://ada:pw@kizo.x":     "",
		"https://kizo.x/?a=b":       "",
		"":                          "",
	} {
		if got, err := CleanServer(in); got != want || (err == nil) != (want != "") {
			t.Errorf("%q: %q, %v", in, got, err)
		}
	}
}

func TestCommandsUnderAPath(t *testing.T) {
	var path string
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, request *http.Request) {
		path = request.URL.Path
		posted(w, request)
	}))
	defer server.Close()
	k, _ := dial(t, server.URL+"/api", StaticToken("t"))
	if _, err := k.Send(t.Context(), someTransfer(t)); err != nil || path != "/api/v1/transfers" {
		t.Errorf("%s, %v", path, err)
	}
}
