package main

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"time"
)

const timeFlagHelp = "RFC 3339, a date (its first moment here), or how long ago: 90m, 12h, 2d"

var days = regexp.MustCompile(`^([0-9]{1,5})([dw])$`)

// parseTime reads a moment as people type it: RFC 3339, a date, or how long ago.
func parseTime(text string, now time.Time) (time.Time, error) {
	if at, err := time.Parse(time.RFC3339, text); err == nil {
		return at, nil
	}
	if at, err := time.ParseInLocation(time.DateOnly, text, now.Location()); err == nil {
		return at, nil
	}
	ago := strings.TrimPrefix(strings.TrimSuffix(text, " ago"), "-")
	if parts := days.FindStringSubmatch(ago); parts != nil {
		number, _ := strconv.Atoi(parts[1])
		return now.AddDate(0, 0, -number*map[string]int{"d": 1, "w": 7}[parts[2]]), nil
	}
	if duration, err := time.ParseDuration(ago); err == nil && duration >= 0 {
		return now.Add(-duration), nil
	}
	return time.Time{}, usagef("%q is no time: type one such as %s, %s or 12h (ago)",
		text, now.UTC().Format(time.RFC3339), now.Format(time.DateOnly))
}

// when shows a moment: how long ago on a terminal, RFC 3339 in a pipe.
func (a *app) when(at time.Time) string {
	if at.IsZero() {
		return ""
	}
	if a.io.OutTerminal {
		return relative(at, a.now())
	}
	return at.UTC().Format(time.RFC3339Nano)
}

func (a *app) whenever(at *time.Time) string {
	if at == nil {
		return ""
	}
	return a.when(*at)
}

func relative(at, now time.Time) string {
	distance := now.Sub(at)
	form := "%s ago"
	if distance < 0 {
		distance, form = -distance, "in %s"
	}
	switch {
	case distance < 5*time.Second:
		return "now"
	case distance < time.Minute:
		return fmt.Sprintf(form, fmt.Sprintf("%ds", distance/time.Second))
	case distance < time.Hour:
		return fmt.Sprintf(form, fmt.Sprintf("%dm", distance/time.Minute))
	case distance < 24*time.Hour:
		return fmt.Sprintf(form, fmt.Sprintf("%dh", distance/time.Hour))
	case distance < 30*24*time.Hour:
		return fmt.Sprintf(form, fmt.Sprintf("%dd", distance/(24*time.Hour)))
	}
	return at.In(now.Location()).Format(time.DateOnly)
}
