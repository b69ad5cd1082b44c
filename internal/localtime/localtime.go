// Package localtime parses the times that users type and finds where days and months begin.
// The command line and the dashboard's filter use it.
//
//	localtime.Parse("2026-03-08", now)           the start of that day in now's location
//	localtime.Parse("2026-03-08T12:00:00Z", now) RFC 3339
//	localtime.Parse("2d", now)                   a time before now: also 90m, 12h, 3w, "2h ago"
//
// A day does not always begin at midnight: where clocks are put forward at midnight, as in Havana
// and Beirut, it begins at 01:00. A day begins at the first instant that has its date.
//
// The package imports the standard library only.
package localtime

import (
	"errors"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// ErrSyntax is returned by Parse for a text in none of the forms that it reads.
var ErrSyntax = errors.New("not a time")

var daysAgo = regexp.MustCompile(`^([0-9]{1,5})([dw])$`)

// Parse reads a time in RFC 3339, a date, or a duration before now. A date means the start of that
// day in the location of now. The error is ErrSyntax.
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
	return time.Time{}, ErrSyntax
}

// maxOffset exceeds the offset from UTC of every location at any time (RFC 9636 allows less than
// 26 hours).
const maxOffset = 26 * time.Hour

// DayStart returns the first instant in a location that has the given date. For a day that the
// location skipped, such as 2011-12-30 in Apia, it returns the first instant of the next day.
//
// time.Date cannot be used: for a midnight that does not exist it returns an instant of the day
// before.
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

// MonthStart returns the first instant of now's month in now's location.
func MonthStart(now time.Time) time.Time {
	return DayStart(now.Year(), now.Month(), 1, now.Location())
}

// clock returns the wall-clock time at an instant as if it were UTC.
func clock(at time.Time) time.Time {
	_, offset := at.Zone()
	return at.UTC().Add(time.Duration(offset) * time.Second)
}
