package api

import (
	"context"
	"time"

	"github.com/JDevAman/kizo/openapi"
	"github.com/JDevAman/kizo/server/api/internal/routes"
	"github.com/JDevAman/kizo/server/auth"
	"github.com/JDevAman/kizo/server/ledger"
)

// StreamEvents streams the events of the user's transfers, from a position on.
func (a *API) StreamEvents(ctx context.Context, r routes.StreamEventsRequestObject) (routes.StreamEventsResponseObject, error) {
	wantsOps := r.Params.Ops != nil && *r.Params.Ops
	if p := requestOf(ctx).principal; wantsOps && p.Role == auth.RoleOperator && !a.hasFactor(p) {
		return nil, errOperatorNeedsFactor()
	} else if wantsOps && !a.readsAsOperator(p) {
		return nil, reject(openapi.Forbidden, "ops", "queues and health are for operators, and for keys with the scope ops:read: leave ops out")
	}
	listener, err := a.ledger.Listen(ctx, userID(ctx))
	if err != nil {
		return nil, err
	}
	s := &stream{
		api: a, request: requestOf(ctx), listener: listener, position: listener.From, wantsOps: wantsOps,
		follows: r.Params.Follow == nil || *r.Params.Follow,
		// The deadline of the request does not end the stream.
		ctx: context.WithoutCancel(ctx),
	}
	// A browser that reconnects sends both parameters. Its Last-Event-ID is the newer position.
	since, name := orEmpty(r.Params.LastEventID), "Last-Event-ID"
	if since == "" {
		since, name = orEmpty(r.Params.Since), "since"
	}
	if since != "" {
		if err := s.begin(ctx, name, since); err != nil {
			listener.Close()
			return nil, err
		}
	} else if listener.Horizon.After(s.position) {
		// The listener may still lag behind: events up to the horizon happened before the request.
		s.position = listener.Horizon
	}
	return s, nil
}

// begin sets the stream's position to the position or the time that the client names.
func (s *stream) begin(ctx context.Context, name, since string) error {
	p, err := ledger.ParsePosition(since)
	if err == nil {
		if p.After(s.listener.Horizon) {
			return reject(openapi.ParameterMalformed, name, "this ledger has no such event: leave the id out to begin now")
		}
		s.position = p
		return nil
	}
	at, err := parseTime(name, &since)
	if err != nil {
		return reject(openapi.ParameterMalformed, name,
			"that is neither the id of an event nor a time as in RFC 3339, such as 2026-01-31T12:00:00Z")
	}
	if s.position, err = s.api.ledger.PositionAt(ctx, at); err != nil {
		return err
	}
	s.notBefore = at
	return nil
}

// viewEvents returns events as the viewer sees them, with the names of sender and receiver.
func (a *API) viewEvents(ctx context.Context, viewer auth.UserID, events []*ledger.Event) ([]openapi.TransferEvent, error) {
	ids := make([]auth.UserID, 0, 2*len(events))
	seen := map[auth.UserID]bool{{}: true}
	for _, e := range events {
		for _, id := range []auth.UserID{e.Debtor, e.Creditor} {
			if !seen[id] {
				seen[id] = true
				ids = append(ids, id)
			}
		}
	}
	people, err := a.auth.UsersByID(ctx, ids)
	if err != nil {
		return nil, err
	}
	party := func(owner auth.UserID, kind ledger.Kind) openapi.Party {
		if owner.IsZero() {
			return viewSystemParty(kind)
		}
		return viewParty(people[owner])
	}
	views := make([]openapi.TransferEvent, len(events))
	for i, e := range events {
		direction := openapi.In
		if e.Debtor == viewer {
			direction = openapi.Out
		}
		t := e.Transfer
		views[i] = openapi.TransferEvent{
			Transfer: viewTransfer(t, party(e.Debtor, t.Kind), party(e.Creditor, t.Kind), direction),
			State:    openapi.TransferState(t.State), At: e.At.UTC(),
		}
		views[i].Transfer.Tags = viewTags(t, viewer)
	}
	return views, nil
}

// Intervals and bounds of a stream.
const (
	heartbeatInterval   = 10 * time.Second
	recheckInterval     = 5 * time.Second // between two checks of the token and the session
	catchUpPage         = 200             // events that are read from the table at once
	maxLiveBatch        = 64              // events that are sent at once
	horizonPollInterval = 5 * time.Millisecond
	horizonTimeout      = time.Second
)
