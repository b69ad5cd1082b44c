// Package moment reads times as people type them, for the command line and for the dashboard's filter.
//
//	moment.Parse("2026-03-08", now)           // the first moment of that day in now's location
//	moment.Parse("2026-03-08T12:00:00Z", now) // RFC 3339
//	moment.Parse("2d", now)                   // how long ago: also 90m, 12h, 3w, "2h ago"
//
// A day does not always begin at midnight: where clocks are put forward at midnight, as in Havana and Beirut,
// its first moment is 01:00. The first moment of a day is the first instant that carries its date.
//
// The package knows times alone: no wallet, no client, no Bubble Tea.
package moment

import (
	"errors"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// ErrNoTime means that a text is no time in any of the forms.
var ErrNoTime = errors.New("no time")

var daysAgo = regexp.MustCompile(`^([0-9]{1,5})([dw])$`)

// Parse reads RFC 3339, a date, or how long ago. A date is its first moment in the location of now.
func Parse(text string, now time.Time) (time.Time, error) {
	if at, err := time.Parse(time.RFC3339, text); err == nil {
		return at, nil
	}
	if date, err := time.Parse(time.DateOnly, text); err == nil {
		return DayStart(date.Year(), date.Month(), date.Day(), now.Location()), nil
	}
	ago := strings.TrimPrefix(strings.TrimSuffix(text, " ago"), "-")
	if parts := daysAgo.FindStringSubmatch(ago); parts != nil {
		number, _ := strconv.Atoi(parts[1])
		return now.AddDate(0, 0, -number*map[string]int{"d": 1, "w": 7}[parts[2]]), nil
	}
	if duration, err := time.ParseDuration(ago); err == nil && duration >= 0 {
		return now.Add(-duration), nil
	}
	return time.Time{}, ErrNoTime
}

// maxOffset is more than any location has ever been from UTC (RFC 9636 allows less than 26 hours).
const maxOffset = 26 * time.Hour

// DayStart is the first instant in a location whose date is that of the day. Of a day that a location skipped, as
// Apia did 2011-12-30, it is the first instant of the next.
//
// time.Date does not do: for a midnight that does not exist it gives an instant of the day before.
func DayStart(year int, month time.Month, day int, location *time.Location) time.Time {
	midnight := time.Date(year, month, day, 0, 0, 0, 0, time.UTC) // as clocks show it
	for at := midnight.Add(-maxOffset).In(location); ; {
		if !clock(at).Before(midnight) {
			return at // clocks were put forward over midnight
		}
		_, offset := at.Zone()
		start := midnight.Add(-time.Duration(offset) * time.Second)
		_, next := at.ZoneBounds()
		if next.IsZero() || start.Before(next) {
			return start.In(location)
		}
		at = next
	}
}

// MonthStart is the first instant of the month that now is in, in its location.
func MonthStart(now time.Time) time.Time {
	return DayStart(now.Year(), now.Month(), 1, now.Location())
}

// clock is what clocks show at an instant, as if it were UTC.
func clock(at time.Time) time.Time {
	_, offset := at.Zone()
	return at.UTC().Add(time.Duration(offset) * time.Second)
}
