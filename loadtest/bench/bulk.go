package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strconv"
	"sync"

	"github.com/valyala/fasthttp"

	"github.com/JDevAman/kizo/loadtest/rig"
)

// Names of the phases of bulk.
const (
	bulkAlone   = "batches alone"
	atomicAlone = "atomic batches alone"
	bulkBeside  = "batches, beside single transfers"
	besideBulk  = "single transfers beside batches"
)

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
	single := load{callers: b.connections, length: b.duration, make: func(int) caller { return payments(b.address(), b.users, anyPair) }}
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
	if _, err := b.measure(ctx, quiet, "transfer", steady); err != nil {
		return err
	}
	beside := clients(false)
	beside.length += beside.length/5 + 1 // as long as the short load before a phase takes as well
	var (
		rows    *tally
		sending sync.WaitGroup
	)
	earlier := b.rig.Gauge()
	sending.Go(func() { rows = beside.drive(ctx) })
	_, err := b.measureCold(ctx, besideBulk, "transfer", steady)
	sending.Wait()
	b.expect("transfer", rows)
	p := newPhase(bulkBeside, "transfer", rows)
	p.Spent = b.rig.Gauge().Since(earlier)
	_, failure := b.add(ctx, p, rows)
	b.ratio(bulkAlone, httpPairs, 1.5)
	b.ratio(atomicAlone, httpPairs, 1.5)
	return errors.Join(err, failure)
}

// batches sends bulkRows transfers of one minor unit from one user in each request.
func batches(address string, users []rig.User, n int, atomic bool) caller {
	c := connect(address, nil)
	c.post("http://" + address + "/v1/transfers/batch")
	from := &users[n]
	want := strconv.AppendInt(nil, fasthttp.StatusCreated, 10)
	want = append([]byte(`"status":`), want...)
	return func() (outcome, error) {
		c.request.Header.Set("Authorization", "Bearer "+from.AccessToken)
		c.body = append(c.body[:0], `{"atomic":`...)
		c.body = strconv.AppendBool(c.body, atomic)
		c.body = append(c.body, `,"transfers":[`...)
		for i := range bulkRows {
			_, to := anyPair(len(users))
			for to == n {
				_, to = anyPair(len(users))
			}
			if i > 0 {
				c.body = append(c.body, ',')
			}
			c.body = append(c.body, `{"idempotency_key":"`...)
			c.body = append(c.body, newKey()...)
			c.body = append(c.body, `","to":"@`...)
			c.body = append(c.body, users[to].Handle...)
			c.body = append(c.body, `","amount":1,"currency":"USD"}`...)
		}
		c.body = append(c.body, `]}`...)
		o, err := c.send(fasthttp.StatusOK, want)
		if posted := bytes.Count(c.response.Body(), postedState); o == accepted && posted != bulkRows {
			return failed, fmt.Errorf("%d of %d transfers are posted: %.500s", posted, bulkRows, c.response.Body())
		}
		return o, err
	}
}
