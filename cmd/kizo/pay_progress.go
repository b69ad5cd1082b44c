package main

import (
	"fmt"
	"io"
	"strings"
	"sync"
	"time"

	"github.com/JDevAman/kizo/internal/printable"
)

// payProgress shows how far a run is: a bar on a terminal, otherwise a line from time to time.
type payProgress struct {
	p     *payer
	began time.Time
	first payCounts // before the first row was sent
	ended chan struct{}
	done  sync.WaitGroup
}

// startProgress shows the progress until stop is called. With --json nothing is shown, since an
// error is all there is on stderr.
func (p *payer) startProgress() *payProgress {
	g := &payProgress{p: p, began: time.Now(), first: p.results.snapshot(), ended: make(chan struct{})}
	if p.app.json {
		return g
	}
	every, show := 10*time.Second, g.line
	if p.app.io.ErrTerminal {
		every, show = 200*time.Millisecond, g.bar
	}
	g.done.Go(func() {
		ticker := time.NewTicker(every)
		defer ticker.Stop()
		for {
			select {
			case <-ticker.C:
				_, _ = io.WriteString(p.app.io.Err, show(time.Since(g.began)))
			case <-g.ended:
				if p.app.io.ErrTerminal {
					_, _ = io.WriteString(p.app.io.Err, "\r\x1b[K")
				}
				return
			}
		}
	})
	return g
}

func (g *payProgress) stop() {
	close(g.ended)
	g.done.Wait()
}

// state returns the number of rows done, the money paid, the rows per second, and the remaining
// time.
func (g *payProgress) state(since time.Duration) (done int, paid string, rate float64, left time.Duration) {
	now := g.p.results.snapshot()
	done = now.settled() - g.first.settled()
	sums := make(map[string]int64)
	for code, sum := range now.amounts {
		sums[code] = sum - g.first.amounts[code]
	}
	rate = float64(done) / max(since.Seconds(), 0.001)
	if rate > 0 {
		left = time.Duration(float64(g.p.plan.toPay-done) / rate * float64(time.Second)).Round(time.Second)
	}
	return done, amounts(sums), rate, left
}

// bar returns the progress as one line that replaces itself.
func (g *payProgress) bar(since time.Duration) string {
	const width = 20
	done, paid, rate, left := g.state(since)
	full := done * width / max(g.p.plan.toPay, 1)
	text := fmt.Sprintf("[%s%s] %s/%s rows  %s  %s rows/s  %v left", strings.Repeat("#", full), strings.Repeat("-", width-full),
		grouped(done), grouped(g.p.plan.toPay), paid, grouped(int(rate)), left)
	columns := 80
	if g.p.app.io.Width > 0 {
		columns = g.p.app.io.Width
	}
	return "\r" + printable.Truncate(text, columns-1) + "\x1b[K"
}

// line returns the progress as a line of a log.
func (g *payProgress) line(since time.Duration) string {
	done, paid, rate, left := g.state(since)
	if paid != "" {
		paid = ", " + paid
	}
	return fmt.Sprintf("%s of %s rows%s, %s rows/s, %v left\n", grouped(done), grouped(g.p.plan.toPay), paid, grouped(int(rate)), left)
}
