package main

import (
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"time"
	_ "time/tzdata" // time zones where the system has none, as in a small container
)

// dateAlone is a day as people type it. Its first moment depends on the time zone.
var dateAlone = regexp.MustCompile(`^[0-9]{4}-[0-9]{2}-[0-9]{2}$`)

// parseTime reads a moment that was typed. A date needs a time zone that exists.
func (a *app) parseTime(text string) (time.Time, error) {
	if dateAlone.MatchString(text) {
		if err := a.checkZone(); err != nil {
			return time.Time{}, err
		}
	}
	return parseTime(text, a.now())
}

// checkZone refuses a TZ that names no time zone. Go would take UTC in its place and say nothing, and a day
// would begin at the wrong moment.
func (a *app) checkZone() error {
	zone := strings.TrimPrefix(a.env("TZ"), ":") // POSIX has the colon, and leaves the rest to the system
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
		return withHint(usagef("TZ is %q, which is no time zone that kizo knows, so that it is not known when a day begins", a.env("TZ")),
			"TZ=UTC "+a.commandLine(), "TZ=Europe/Berlin "+a.commandLine()+" (or where you are)")
	}
	return nil
}
