package ops

import (
	"context"

	"github.com/JDevAman/kizo/internal/text"
	"github.com/JDevAman/kizo/openapi"
	"github.com/JDevAman/kizo/server/auth"
	"github.com/JDevAman/kizo/server/ledger"
	"github.com/JDevAman/kizo/server/settle"
)

// Explain returns the history of a transfer. lookUp returns the users whose handles may be shown.
func (o *Ops) Explain(ctx context.Context, t ledger.Transfer,
	lookUp func(context.Context, []auth.UserID) (map[auth.UserID]auth.UserRef, error),
) (openapi.Timeline, error) {
	var known map[auth.UserID]auth.UserRef
	timeline, err := o.config.Settler.Explain(ctx, t, func(ctx context.Context, users []auth.UserID) (names map[auth.UserID]string, err error) {
		if known, err = lookUp(ctx, users); err != nil {
			return nil, err
		}
		names = make(map[auth.UserID]string, len(known))
		for id, user := range known {
			names[id] = "@" + user.Handle
		}
		return names, nil
	})
	if err != nil {
		return openapi.Timeline{}, err
	}
	view := openapi.Timeline{
		WaitsFor: timeline.WaitsFor, Next: timeline.Next, NextActor: viewActor(timeline.NextActor, known),
		TraceId: cleaned(timeline.TraceID), Entries: make([]openapi.TimelineEntry, len(timeline.Entries)),
	}
	for i, entry := range timeline.Entries {
		view.Entries[i] = viewTimelineEntry(entry, known)
	}
	return view, nil
}

func viewTimelineEntry(e settle.TimelineEntry, known map[auth.UserID]auth.UserRef) openapi.TimelineEntry {
	view := openapi.TimelineEntry{
		At: e.At.UTC(), Type: openapi.TimelineEntryType(e.Type), Actor: viewActor(e.Actor, known),
		TransferId: idOrAbsent(e.Transfer), Outcome: cleaned(e.Outcome), Text: text.CleanProse(e.Text, maxShown),
	}
	if e.Amount != 0 {
		view.Amount = &e.Amount
	}
	if e.Attempt != 0 {
		view.Attempt = &e.Attempt
	}
	switch e.Account.Role {
	case "":
	case settle.RoleUser:
		user := known[e.Account.User]
		view.Party = &openapi.Party{Handle: &user.Handle, Name: &user.Name}
	default:
		isBank := e.Account.Role == settle.RoleBank
		view.Party = &openapi.Party{Bank: &isBank}
	}
	return view
}

func viewActor(actor settle.Actor, known map[auth.UserID]auth.UserRef) openapi.Actor {
	view := openapi.Actor{Role: openapi.ActorRole(actor.Role)}
	if user, ok := known[actor.User]; ok {
		view.Handle = &user.Handle
	}
	return view
}
