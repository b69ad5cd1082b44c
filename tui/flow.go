package tui

import (
	"strings"
	"time"

	"github.com/JDevAman/kizo/client"
	"github.com/JDevAman/kizo/tui/draw"
)

// station is a step of a transfer. at is zero if it was not reached.
type station struct {
	name string
	at   time.Time
}

// stationsOf returns the way of a transfer: hold, bank, and how it ended or is to end.
func stationsOf(t client.Transfer, entries []client.TimelineEntry) []station {
	first := func(types ...client.TimelineEntryType) time.Time {
		for _, e := range entries {
			for _, wanted := range types {
				if e.Type == wanted {
					return e.At
				}
			}
		}
		return time.Time{}
	}
	way := []station{{"accepted", first(client.EntryAccepted)}}
	if way[0].at.IsZero() {
		way[0].at = t.CreatedAt
	}
	if t.Kind == client.TransferKindWithdrawal || t.Kind == client.TransferKindAuthorization {
		way = append(way, station{"held", first(client.EntryHeld)})
	}
	if t.Kind == client.TransferKindDeposit || t.Kind == client.TransferKindWithdrawal {
		way = append(way, station{"bank", first(client.EntryAttempt)})
	}
	end := station{name: "posted"}
	if t.Kind == client.TransferKindAuthorization {
		end.name = "captured"
	}
	switch {
	case t.State == client.Refused:
		return []station{way[0], {"refused", first(client.EntryRefused)}}
	case t.State == client.Voided && !first(client.EntryExpired).IsZero():
		end = station{"expired", first(client.EntryExpired)}
	case t.State == client.Voided:
		end.name, end.at = "voided", first(client.EntryVoided)
	case t.State == client.Posted:
		end.at = first(client.EntryCaptured, client.EntryDebited, client.EntryCredited)
	}
	if t.State != client.Pending && end.at.IsZero() && t.ResolvedAt != nil {
		end.at = *t.ResolvedAt
	}
	return append(way, end)
}

// flow draws the way of a transfer with the times: the present station is in brackets and accented,
// and those that were not reached are dim. A narrow box has only the present one.
func (m *shared) flow(t client.Transfer, entries []client.TimelineEntry, width int) []string {
	way := stationsOf(t, entries)
	present := 0
	for i, s := range way {
		if !s.at.IsZero() {
			present = i
		}
	}
	arrow := m.glyph(" ─► ", " -> ")
	gap := strings.Repeat(" ", draw.TextWidth(arrow))
	var names, times strings.Builder
	wide := 0
	for i, s := range way {
		name, paint := " "+s.name+" ", m.Plain.Render
		switch {
		case i == present:
			name, paint = "["+s.name+"]", m.Accent.Render
		case s.at.IsZero():
			paint = m.Dim.Render
		}
		at := m.glyph("–", "-")
		if !s.at.IsZero() {
			at = s.at.In(m.now.Location()).Format(time.TimeOnly)
		}
		cell := max(draw.TextWidth(name), draw.TextWidth(at)+1)
		if i > 0 {
			names.WriteString(m.Dim.Render(arrow))
			times.WriteString(gap)
			wide += draw.TextWidth(arrow)
		}
		names.WriteString(paint(draw.Fit(name, cell)))
		times.WriteString(m.Dim.Render(draw.Fit(" "+at, cell)))
		wide += cell
	}
	if wide > width {
		return []string{draw.Clip(m.Accent.Render(draw.Fit("["+way[present].name+"]", width)), width)}
	}
	return []string{names.String() + strings.Repeat(" ", width-wide), times.String() + strings.Repeat(" ", width-wide)}
}
