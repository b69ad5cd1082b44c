package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/JDevAman/kizo/loadtest/rig"
)

const (
	measureFor    = 3 * time.Second
	measureWithin = 15 * time.Second
	askers        = 4 // more than kizod hashes at once
)

const (
	crowd   = 100         // virtual users of the profile
	thought = time.Second // of each, between two rounds
)

// signInAllowed is the target for the p99 of sign-ins in the profile: 1.2 times what a
// closed loop of so many users has to wait when so many sign-ins a second can be hashed.
// Each round of a user is one sign-in and a second of thought, so a sign-in takes
// users/rate less that second, and never less than what the hashes of its own moment take.
func signInAllowed(users int, rate float64) time.Duration {
	const shortest = 500 * time.Millisecond
	allowed := time.Duration(float64(users)/rate*float64(time.Second)) - thought
	return max(allowed, shortest) * 12 / 10
}

// signIns is how many right passwords a second kizod takes when it has nothing else to do.
func signIns(ctx context.Context, url string, users []rig.User) (float64, error) {
	ctx, cancel := context.WithTimeout(ctx, measureWithin)
	defer cancel()
	client := &http.Client{Transport: &http.Transport{DialContext: (&addresses{}).dial, DisableKeepAlives: true}}
	var next, signedIn atomic.Int64
	var group sync.WaitGroup
	errs := make([]error, askers)
	began := time.Now()
	for asker := range askers {
		group.Go(func() {
			for errs[asker] == nil && time.Since(began) < measureFor {
				var ok bool
				if ok, errs[asker] = signIn(ctx, client, url, users[int(next.Add(1))%len(users)]); ok {
					signedIn.Add(1)
				}
			}
		})
	}
	group.Wait()
	if err := errors.Join(errs...); err != nil {
		return 0, fmt.Errorf("measure sign-ins: %w", err)
	}
	if signedIn.Load() == 0 {
		return 0, errors.New("measure sign-ins: none succeeded")
	}
	return float64(signedIn.Load()) / time.Since(began).Seconds(), nil
}

func signIn(ctx context.Context, client *http.Client, url string, user rig.User) (ok bool, err error) {
	body, err := json.Marshal(map[string]string{"login": user.Email, "password": user.Password})
	if err != nil {
		return false, err
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, url+"/v1/auth/login", bytes.NewReader(body))
	if err != nil {
		return false, err
	}
	request.Header.Set("Content-Type", "application/json")
	response, err := client.Do(request)
	if err != nil {
		return false, err
	}
	defer response.Body.Close()
	_, err = io.Copy(io.Discard, io.LimitReader(response.Body, 1<<16))
	return response.StatusCode == http.StatusOK, err
}

// addresses dials each time from another one of loopback, where there are many.
type addresses struct{ used atomic.Uint32 }

func (a *addresses) dial(ctx context.Context, network, address string) (net.Conn, error) {
	var dialer net.Dialer
	if manyAddresses {
		n := a.used.Add(1)
		dialer.LocalAddr = &net.TCPAddr{IP: net.IPv4(127, 8, byte(n>>7), byte(1+n&127))}
	}
	return dialer.DialContext(ctx, network, address)
}
