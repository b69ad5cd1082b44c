package main

import (
	"bytes"
	"context"
	"fmt"

	"github.com/valyala/fasthttp"

	"github.com/JDevAman/kizo/loadtest/rig"
)

const bulkAlone, atomicAlone = "batches alone", "atomic batches alone"

const (
	bulkClients = 8
	bulkRows    = 500
)

// bulk measures batches of transfers: each client sends from one wallet to random payees.
func bulk(ctx context.Context, b *bench) error {
	clients := func(atomic bool) load {
		return load{callers: bulkClients, rows: bulkRows, length: b.duration, make: func(n int) caller {
			return batches(b.address(), b.users, n, atomic)
		}}
	}
	single := load{callers: b.connections, length: b.duration, make: b.pay(anyPair)}
	for range b.rounds {
		if _, err := b.measure(ctx, httpPairs, "transfer", single); err != nil {
			return err
		}
		if _, err := b.measure(ctx, bulkAlone, "transfer", clients(false)); err != nil {
			return err
		}
		if _, err := b.measure(ctx, atomicAlone, "transfer", clients(true)); err != nil {
			return err
		}
	}
	steady := single
	steady.callers, steady.rate = 50, b.rate
	if _, err := b.measure(ctx, paymentsAlone, "transfer", steady); err != nil {
		return err
	}
	beside := clients(false)
	beside.length += beside.length/5 + 1 // as long as the short load before a phase takes as well
	err := b.driveBeside(ctx, beside, "batches, beside single transfers", "transfer", func() error {
		_, err := b.measureCold(ctx, "single transfers beside batches", "transfer", steady)
		return err
	})
	b.ratio(bulkAlone, httpPairs, 1.5)
	b.ratio(atomicAlone, httpPairs, 1.5)
	return err
}

// batches sends bulkRows transfers of one minor unit from one user in each request.
func batches(address string, users []rig.User, n int, atomic bool) caller {
	c := connect(address, nil, "/v1/transfers/batch")
	from := &users[n]
	want := fmt.Appendf(nil, `"status":%d`, fasthttp.StatusCreated)
	return func() (outcome, error) {
		c.request.Header.Set("Authorization", "Bearer "+from.AccessToken)
		c.body = fmt.Appendf(c.body[:0], `{"atomic":%t,"transfers":[`, atomic)
		for i := range bulkRows {
			_, to := anyPair(len(users))
			for to == n {
				_, to = anyPair(len(users))
			}
			if i > 0 {
				c.body = append(c.body, ',')
			}
			c.body = fmt.Appendf(c.body, `{"idempotency_key":"%s","to":"@%s","amount":1,"currency":"USD"}`, newKey(), users[to].Handle)
		}
		c.body = append(c.body, `]}`...)
		o, err := c.send(fasthttp.StatusOK, want)
		if posted := bytes.Count(c.response.Body(), postedState); o == accepted && posted != bulkRows {
			return failed, fmt.Errorf("%d of %d transfers are posted: %.500s", posted, bulkRows, c.response.Body())
		}
		return o, err
	}
}
