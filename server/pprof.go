package server

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/pprof"
	"net/netip"
	"strings"
)

// CheckPprofAddress returns an error for an address that is not on loopback: a profile shows
// the contents of memory, and taking one costs CPU time.
func CheckPprofAddress(address string) error {
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return fmt.Errorf("%q is not an address; write it as 127.0.0.1:7423", address)
	}
	if !loopback(host) {
		return fmt.Errorf("%q is not on loopback; write it as 127.0.0.1:7423, and reach it through SSH", address)
	}
	return nil
}

// loopback reports whether a host is localhost or a loopback address. Other names are not
// resolved.
func loopback(host string) bool {
	if host == "localhost" || strings.HasSuffix(host, ".localhost") {
		return true
	}
	address, err := netip.ParseAddr(strings.TrimSuffix(strings.TrimPrefix(host, "["), "]"))
	return err == nil && address.Unmap().IsLoopback()
}

// pprofHandler serves profiles to requests whose Host is this one. A web page in a browser on
// this host can send requests here too, under a name that its owner resolves to loopback (DNS
// rebinding); their Host header is that name.
func pprofHandler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /debug/pprof/", pprof.Index)
	mux.HandleFunc("GET /debug/pprof/profile", pprof.Profile)
	mux.HandleFunc("GET /debug/pprof/trace", pprof.Trace)
	mux.HandleFunc("GET /debug/pprof/symbol", pprof.Symbol)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		host := r.Host
		if name, _, err := net.SplitHostPort(host); err == nil {
			host = name
		}
		if !loopback(host) {
			http.Error(w, "the Host of a request for a profile must be localhost or a loopback address", http.StatusForbidden)
			return
		}
		w.Header().Set("X-Content-Type-Options", "nosniff")
		mux.ServeHTTP(w, r)
	})
}

// listenForPprof opens the address of profiles, if one is configured.
func (s *Server) listenForPprof(ctx context.Context) (err error) {
	if s.config.PprofListen == "" {
		return nil
	}
	if err := CheckPprofAddress(s.config.PprofListen); err != nil {
		return err
	}
	if s.pprofListener, err = new(net.ListenConfig).Listen(ctx, "tcp", s.config.PprofListen); err != nil {
		return fmt.Errorf("listen for profiles (--pprof-listen picks another address): %w", err)
	}
	return nil
}

func (s *Server) servePprof() {
	if s.pprofListener == nil {
		return
	}
	server := &http.Server{Handler: pprofHandler()} //nolint:gosec // serveOps sets the timeouts
	go func() {
		if err := s.serveOps(server, s.pprofListener); err != nil && !errors.Is(err, net.ErrClosed) {
			s.log.Error("profiles are no longer served", "error", err)
		}
	}()
}

// PprofURL returns the URL of profiles, or "" if none are served.
func (s *Server) PprofURL() string { return httpURL(s.pprofListener) }
