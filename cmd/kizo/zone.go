package main

import (
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"time"
	_ "time/tzdata" // the time zone database, for systems that have none, such as a small container
)

// dateAlone is a date without a time. Its start depends on the time zone.
var dateAlone = regexp.MustCompile(`^[0-9]{4}-[0-9]{2}-[0-9]{2}$`)

// parseTime parses a time that was typed. A date needs a valid time zone.
func (a *app) parseTime(text string) (time.Time, error) {
	if dateAlone.MatchString(text) {
		if err := a.checkZone(); err != nil {
			return time.Time{}, err
		}
	}
	return parseTime(text, a.now())
}

// checkZone refuses a TZ that names no time zone. Go would silently use UTC, and days would begin
// at the wrong time.
func (a *app) checkZone() error {
	zone := strings.TrimPrefix(a.env("TZ"), ":") // POSIX allows the colon, and leaves the rest to the system
	if zone == "" || runtime.GOOS == "windows" { // Windows does not use TZ
		return nil
	}
	var err error
	if filepath.IsAbs(zone) {
		var content []byte
		if content, err = os.ReadFile(zone); err == nil {
			_, err = time.LoadLocationFromTZData(zone, content)
		}
	} else {
		_, err = time.LoadLocation(zone)
	}
	if err != nil {
		return withHint(usagef("TZ is %q, which is not a known time zone, so kizo cannot tell when a day begins", a.env("TZ")),
			"TZ=UTC "+a.commandLine(), "TZ=Europe/Berlin "+a.commandLine()+" (or your own)")
	}
	return nil
}
