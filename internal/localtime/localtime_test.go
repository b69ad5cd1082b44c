package localtime

import (
	"bufio"
	"os"
	"slices"
	"strings"
	"testing"
	"time"
	_ "time/tzdata" // the same zones on every machine

	"github.com/JDevAman/kizo/internal/testkit"
)

func load(t *testing.T, name string) *time.Location {
	t.Helper()
	location, err := time.LoadLocation(name)
	testkit.Must(t, err)
	return location
}

// TestDaysWithoutMidnight has days that begin late, begin twice, or do not exist.
func TestDaysWithoutMidnight(t *testing.T) {
	for _, test := range []struct{ zone, date, want string }{
		{"America/Havana", "2026-03-08", "2026-03-08T05:00:00Z"}, // 01:00
		{"America/Havana", "2026-03-09", "2026-03-09T04:00:00Z"},
		{"America/Havana", "2026-11-01", "2026-11-01T04:00:00Z"}, // midnight begins the hour that occurs twice
		{"America/Sao_Paulo", "2018-11-04", "2018-11-04T03:00:00Z"},
		{"America/Asuncion", "2023-10-01", "2023-10-01T04:00:00Z"},
		{"America/Santiago", "2025-09-07", "2025-09-07T04:00:00Z"},
		{"Africa/Cairo", "2023-04-28", "2023-04-27T22:00:00Z"},
		{"Asia/Beirut", "2024-03-31", "2024-03-30T22:00:00Z"},
		{"Asia/Tehran", "2022-03-22", "2022-03-21T20:30:00Z"},
		{"Asia/Amman", "2021-03-26", "2021-03-25T22:00:00Z"},
		{"Atlantic/Azores", "2026-03-29", "2026-03-29T01:00:00Z"},
		{"America/St_Johns", "2000-10-29", "2000-10-29T02:30:00Z"}, // 00:01 became 23:01 of the day before
		{"Pacific/Apia", "2011-12-29", "2011-12-29T10:00:00Z"},
		{"Pacific/Apia", "2011-12-30", "2011-12-30T10:00:00Z"}, // does not exist
		{"Pacific/Apia", "2011-12-31", "2011-12-30T10:00:00Z"},
		{"Pacific/Kwajalein", "1993-08-21", "1993-08-21T12:00:00Z"}, // does not exist
		{"Asia/Manila", "1844-12-31", "1844-12-31T15:56:08Z"},       // does not exist
		{"Europe/Berlin", "2026-03-29", "2026-03-28T23:00:00Z"},
		{"Europe/Berlin", "2026-10-25", "2026-10-24T22:00:00Z"},
		{"Asia/Kathmandu", "2026-01-01", "2025-12-31T18:15:00Z"},
		{"Australia/Lord_Howe", "2026-10-04", "2026-10-03T13:30:00Z"},
		{"UTC", "2026-03-08", "2026-03-08T00:00:00Z"},
		{"UTC", "0001-01-01", "0001-01-01T00:00:00Z"},
		{"UTC", "9999-12-31", "9999-12-31T00:00:00Z"},
	} {
		location := load(t, test.zone)
		got, err := Parse(test.date, time.Date(2026, 6, 1, 0, 0, 0, 0, location))
		if err != nil || got.UTC().Format(time.RFC3339) != test.want {
			t.Errorf("%s in %s: %s, %v; want %s", test.date, test.zone, got.UTC().Format(time.RFC3339), err, test.want)
		}
	}
}

// TestDayStartOfEveryDay compares DayStart with a search, minute by minute, over the hours around
// each change of the clocks, and with the date on every tenth other day: for notable zones from
// 1973, when the last offset with seconds ended, to 2040, for all others from 2010.
func TestDayStartOfEveryDay(t *testing.T) {
	zones := allZones()
	if testing.Short() {
		zones = notableZones
	}
	days, searched, skipped := 0, 0, 0
	for i, name := range zones {
		location := load(t, name)
		first := 2010
		if i < len(notableZones) {
			first = 1973
		}
		for day := time.Date(first, 1, 3, 0, 0, 0, 0, time.UTC); day.Year() < 2040; day = day.AddDate(0, 0, 1) {
			_, next := day.Add(-maxOffset).In(location).ZoneBounds()
			changes := !next.IsZero() && !next.After(day.Add(maxOffset))
			if !changes && day.Day()%10 != 0 {
				continue
			}
			got := DayStart(day.Year(), day.Month(), day.Day(), location)
			days++
			date := clock(got).Format(time.DateOnly)
			if !changes {
				if date != day.Format(time.DateOnly) || clock(got.Add(-time.Second)).Format(time.DateOnly) == date {
					t.Fatalf("%s in %s: %s", day.Format(time.DateOnly), name, got)
				}
				continue
			}
			searched++
			if date != day.Format(time.DateOnly) {
				skipped++
			}
			if want := searchDayStart(day, location); !got.Equal(want) {
				t.Errorf("%s in %s: %s, want %s", day.Format(time.DateOnly), name, got, want.In(location))
			}
		}
	}
	t.Logf("%d days in %d zones, of which %d near a change of the clocks; %d do not exist", days, len(zones), searched, skipped)
	if skipped == 0 && !testing.Short() {
		t.Error("no day was skipped, not even in Apia")
	}
}

// searchDayStart returns the first whole minute whose date is that of the day, or a later one.
func searchDayStart(day time.Time, location *time.Location) time.Time {
	for at := day.Add(-maxOffset).In(location); ; at = at.Add(time.Minute) {
		if !clock(at).Before(day) {
			return at
		}
	}
}

// notableZones cover each kind of change: at midnight, by half an hour, a skipped day, none.
var notableZones = []string{"America/Havana", "Pacific/Apia", "Pacific/Kwajalein", "Europe/Berlin", "America/Sao_Paulo", "Africa/Cairo",
	"Asia/Beirut", "Asia/Tehran", "Asia/Kathmandu", "Asia/Gaza", "America/St_Johns", "America/Asuncion", "Atlantic/Azores",
	"Australia/Lord_Howe", "Pacific/Chatham", "America/Scoresbysund", "Asia/Amman", "Asia/Damascus", "Africa/Casablanca", "UTC"}

// allZones returns the notable zones and those of the system's list, if it has one.
func allZones() []string {
	zones := slices.Clone(notableZones)
	list, err := os.Open("/usr/share/zoneinfo/zone1970.tab")
	if err != nil {
		return zones
	}
	defer list.Close()
	for lines := bufio.NewScanner(list); lines.Scan(); {
		if parts := strings.Split(lines.Text(), "\t"); len(parts) > 2 && !strings.HasPrefix(parts[0], "#") {
			if _, err := time.LoadLocation(parts[2]); err == nil {
				zones = append(zones, parts[2])
			}
		}
	}
	return zones
}
