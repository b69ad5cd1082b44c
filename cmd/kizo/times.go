package main

import (
	"fmt"
	"time"

	"github.com/JDevAman/kizo/internal/localtime"
)

const timeFlagHelp = "RFC 3339, a date (its start in your time zone), or how long ago: 90m, 12h, 2d"

// parseTime parses a time as users type it: RFC 3339, a date, or how long ago.
func parseTime(text string, now time.Time) (time.Time, error) {
	at, err := localtime.Parse(text, now)
	if err != nil {
		return time.Time{}, usagef("%q is not a time: use for example %s, %s or 12h (ago)",
			text, now.UTC().Format(time.RFC3339), now.Format(time.DateOnly))
	}
	return at, nil
}

// when formats a time: its age on a terminal, RFC 3339 in a pipe.
func (a *app) when(at time.Time) string {
	if at.IsZero() {
		return ""
	}
	if a.human() {
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
