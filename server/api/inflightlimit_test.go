package api_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/JDevAman/kizo/internal/testkit"
	"github.com/JDevAman/kizo/server/api"
)

// TestInFlightLimitFollowsTheTime: the limit falls while most requests take long, and rises again
// while requests are shed although most are fast.
func TestInFlightLimitFollowsTheTime(t *testing.T) {
	t.Parallel()
	const slow, fast = 60 * time.Millisecond, 40 * time.Millisecond
	for name, c := range map[string]struct {
		took     []time.Duration // of the requests of an interval, in turns
		shed     bool
		inFlight int64 // 0: as many as the limit allows
		want     func(before, after int64) bool
		end      int64 // of many such intervals
	}{
		"slow, with shed requests":    {[]time.Duration{slow}, true, 0, falls, 128},
		"slow, without shed requests": {[]time.Duration{slow, slow, fast}, false, 0, falls, 128},
		"slow, but few in flight":     {[]time.Duration{slow}, false, 100, stays, 512},
		"fast, with shed requests":    {[]time.Duration{fast}, true, 0, rises, 1024},
		"a minority is slow":          {[]time.Duration{fast, time.Minute, fast}, true, 0, rises, 1024},
		"fast, without shed requests": {[]time.Duration{fast}, false, 0, stays, 512},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				l := api.NewInFlightLimit(1024)
				testkit.Equal(t, "the limit at first", l.Limit(), 512)
				for interval := range 100 {
					before := l.Limit()
					time.Sleep(time.Second)
					if c.shed {
						l.Shed()
					}
					inFlight := c.inFlight
					if inFlight == 0 {
						inFlight = before
					}
					for i := range 60 {
						l.Note(c.took[i%len(c.took)], inFlight)
					}
					if after := l.Limit(); interval == 0 && !c.want(before, after) {
						t.Fatalf("the limit goes from %d to %d", before, after)
					}
				}
				testkit.Equal(t, "the limit in the end", l.Limit(), c.end)
			})
		})
	}
}

func falls(before, after int64) bool { return after < before && after > before*3/4 }
func rises(before, after int64) bool { return after > before && after < before*5/4 }
func stays(before, after int64) bool { return after == before }

// TestInFlightLimitNeedsASample: a few requests, or a short time, change nothing.
func TestInFlightLimitNeedsASample(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l := api.NewInFlightLimit(1024)
		for range 1000 {
			l.Note(time.Second, 512)
		}
		time.Sleep(time.Second)
		testkit.Equal(t, "the limit after many requests at one moment", l.Limit(), 512)
		l.Note(time.Second, 512)
		testkit.Equal(t, "the limit after the interval", l.Limit(), 448)
		time.Sleep(time.Second)
		l.Note(time.Second, 448)
		testkit.Equal(t, "the limit after one request", l.Limit(), 448)
	})
}

// TestSmallInFlightLimitIsFixed: a maximum that an operator has set below the lowest limit stays.
func TestSmallInFlightLimitIsFixed(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l := api.NewInFlightLimit(4)
		for range 10 {
			time.Sleep(time.Second)
			for range 100 {
				l.Note(time.Second, 4)
			}
			testkit.Equal(t, "the limit", l.Limit(), 4)
		}
	})
}
