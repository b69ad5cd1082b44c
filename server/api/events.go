package api

import (
	"context"
	"time"

	"github.com/google/uuid"

	"github.com/JDevAman/kizo/openapi"
	"github.com/JDevAman/kizo/server/api/internal/routes"
	"github.com/JDevAman/kizo/server/auth"
	"github.com/JDevAman/kizo/server/ledger"
)

// StreamEvents tells what happens to the user's transfers, from a position on.
func (a *API) StreamEvents(ctx context.Context, r routes.StreamEventsRequestObject) (routes.StreamEventsResponseObject, error) {
	wantsOps := r.Params.Ops != nil && *r.Params.Ops
	if wantsOps && from(ctx).principal.Role != auth.RoleOperator {
		return nil, faultf(openapi.Forbidden, "ops", "queues and health are for operators: leave ops out")
	}
	listener, err := a.ledger.Listen(ctx, user(ctx))
	if err != nil {
		return nil, err
	}
	s := &stream{
		api: a, who: from(ctx), listener: listener, position: listener.From, wantsOps: wantsOps,
		// The request's deadline is not the stream's.
		ctx: context.WithoutCancel(ctx),
	}
	// A browser that reconnects sends both: what it was told last is the newer.
	since, name := orEmpty(r.Params.LastEventID), "Last-Event-ID"
	if since == "" {
		since, name = orEmpty(r.Params.Since), "since"
	}
	if since != "" {
		if err := s.begin(ctx, name, since); err != nil {
			listener.Close()
			return nil, err
		}
	}
	return s, nil
}

// begin puts the stream at the position, or the time, that its reader names.
func (s *stream) begin(ctx context.Context, name, since string) error {
	p, err := ledger.ParsePosition(since)
	if err == nil {
		if p.After(s.listener.Horizon) {
			return faultf(openapi.ParameterMalformed, name, "that event is not of this ledger: leave it out to begin now")
		}
		s.position = p
		return nil
	}
	at, err := moment(name, &since)
	if err != nil {
		return faultf(openapi.ParameterMalformed, name,
			"that is neither the id of an event nor a time as in RFC 3339, such as 2026-01-31T12:00:00Z")
	}
	if s.position, err = s.api.ledger.PositionAt(ctx, at); err != nil {
		return err
	}
	s.notBefore = at
	return nil
}

// viewEvents shows events as a user sees them, naming the people on either side.
func (a *API) viewEvents(ctx context.Context, viewer uuid.UUID, events []*ledger.Event) ([]openapi.TransferEvent, error) {
	ids := make([]uuid.UUID, 0, 2*len(events))
	seen := map[uuid.UUID]bool{uuid.Nil: true}
	for _, e := range events {
		for _, id := range []uuid.UUID{e.Debtor, e.Creditor} {
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
	party := func(owner uuid.UUID, kind ledger.Kind) openapi.Party {
		if owner == uuid.Nil {
			return viewNobody(kind)
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
	}
	return views, nil
}

// Paces of a stream, and its bounds.
const (
	heartbeatEvery = 10 * time.Second
	recheckEvery   = 5 * time.Second // whether the token and the session still count
	catchUpPage    = 200             // events at once
	liveBatch      = 64
	presentEvery   = 5 * time.Millisecond
	presentWithin  = time.Second
)
