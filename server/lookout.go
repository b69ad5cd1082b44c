package server

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"
)

// lookout asks something that may be slow or away, for many who want to know and may
// not wait for long:
//
//	look ──younger than a moment──────────► the last answer
//	  └──else: one question at a time ──in time──► its answer
//	                                   └─ctx ends─► the last answer, if it is young enough,
//	                                                else why there is none
//
// The first question that fails after one that was answered is logged with its error, and so
// is the first that is answered again.
type lookout[T any] struct {
	ask    func(context.Context) (T, error)
	name   string        // of what is asked, for the log
	log    *slog.Logger  // nil: log nothing
	moment time.Duration // in which an answer is not asked for again, nor a question that hangs waited for

	mu     sync.Mutex
	last   T
	at     time.Time     // of last; zero where the last question failed
	err    error         // why it failed
	asking chan struct{} // closed when the question under way is answered; nil if none is
	since  time.Time     // when that was asked
}

const askWithin = 5 * time.Second // bounds a question, as far as it heeds its context

var errNoAnswer = errors.New("it has not answered in time")

// look gives an answer that is no older than tolerated, or a moment.
func (l *lookout[T]) look(ctx context.Context, tolerated time.Duration) (T, error) {
	l.mu.Lock()
	if time.Since(l.at) < l.moment {
		defer l.mu.Unlock()
		return l.last, nil
	}
	if l.asking == nil {
		l.asking, l.since = make(chan struct{}), time.Now()
		go l.question(l.asking)
	}
	answered, hangs := l.asking, time.Since(l.since) > l.moment
	l.mu.Unlock()
	if !hangs {
		select {
		case <-answered:
		case <-ctx.Done():
		}
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if time.Since(l.at) <= max(tolerated, l.moment) {
		return l.last, nil
	}
	var none T
	if l.err != nil && l.asking == nil {
		return none, l.err
	}
	return none, errNoAnswer
}

func (l *lookout[T]) question(answered chan struct{}) {
	ctx, cancel := context.WithTimeout(context.Background(), askWithin)
	defer cancel()
	answer, err := l.ask(ctx)
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.log != nil && (err != nil) != (l.err != nil) {
		if err != nil {
			l.log.Warn(l.name+" cannot be read", "error", err)
		} else {
			l.log.Info(l.name + " can be read again")
		}
	}
	l.last, l.at, l.err = answer, time.Now(), err
	if err != nil {
		l.at = time.Time{}
	}
	l.asking = nil
	close(answered)
}
