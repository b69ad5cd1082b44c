package main

import (
	"context"
	"errors"
	"time"

	"github.com/google/uuid"
	"github.com/modelcontextprotocol/go-sdk/mcp"

	"github.com/JDevAman/kizo/client"
)

const (
	defaultMCPItems, maxMCPItems = 20, 50

	// mcpEventsTime limits how long a tool reads events.
	mcpEventsTime = 10 * time.Second
)

type mcpBalances struct {
	Currency string `json:"currency,omitempty" jsonschema:"only this wallet, such as USD"`
	At       string `json:"at,omitempty" jsonschema:"the balance at this time instead of now: RFC 3339, a date, or how long ago, such as 2d"`
}

type mcpTransfers struct {
	State     string `json:"state,omitempty" jsonschema:"pending, posted, voided or refused"`
	Kind      string `json:"kind,omitempty" jsonschema:"transfer, authorization, deposit, withdrawal or reversal"`
	Direction string `json:"direction,omitempty" jsonschema:"in or out"`
	Currency  string `json:"currency,omitempty" jsonschema:"such as USD"`
	Since     string `json:"since,omitempty" jsonschema:"from this time on: RFC 3339, a date, or how long ago, such as 2d"`
	Until     string `json:"until,omitempty" jsonschema:"before this time"`
	With      string `json:"with,omitempty" jsonschema:"only from or to this user: @handle"`
	Memo      string `json:"memo,omitempty" jsonschema:"only with a memo that contains this text"`
	Tag       string `json:"tag,omitempty" jsonschema:"only with this tag: project, or project=apollo"`
	Limit     int    `json:"limit,omitempty" jsonschema:"1 to 50, 20 by default"`
	Cursor    string `json:"cursor,omitempty" jsonschema:"next_cursor of the previous page"`
}

type mcpTransferID struct {
	ID string `json:"id" jsonschema:"the id of the transfer"`
}

type mcpStatement struct {
	Currency string `json:"currency" jsonschema:"the wallet, such as USD"`
	Month    string `json:"month" jsonschema:"a month of UTC, such as 2026-11"`
	Limit    int    `json:"limit,omitempty" jsonschema:"lines, 1 to 50, 20 by default"`
	Cursor   string `json:"cursor,omitempty" jsonschema:"next_cursor of the previous page"`
	Totals   bool   `json:"totals,omitempty" jsonschema:"also the totals of the month for the 50 other parties with the largest sums"`
}

type mcpPayees struct {
	Query    string `json:"query" jsonschema:"the beginning of a handle, or @handle or e-mail address to check"`
	Currency string `json:"currency,omitempty" jsonschema:"also check whether the payee has a wallet in this currency"`
}

type mcpEvents struct {
	Since string `json:"since" jsonschema:"an event_id, or a time: RFC 3339, a date, or how long ago, such as 2h"`
	Limit int    `json:"limit,omitempty" jsonschema:"1 to 50, 20 by default"`
}

// addReading adds the tools that change nothing.
func (s *mcpServer) addReading(server *mcp.Server) {
	addTool(s, server, readOnly("get_balances", "Get the balances of the user's wallets, now or at a time."), s.balances)
	addTool(s, server, readOnly("list_transfers", "List the user's transfers, newest first. Only a page without next_cursor is the last."), s.transfers)
	addTool(s, server, readOnly("show_transfer", "Get one transfer of the user."),
		func(ctx context.Context, in mcpTransferID) (any, error) { return s.transfer(ctx, in.ID) })
	addTool(s, server, readOnly("get_statement",
		"Get a page of the statement of a wallet for a month: opening balance, lines with the balance after each, closing balance."), s.statement)
	addTool(s, server, readOnly("find_payees", "Find users by the beginning of a handle, or check whether a user can be paid."), s.payees)
	addTool(s, server, readOnly("list_events", "List the events of the user's transfers after an event or a time, oldest first."), s.events)
}

func (s *mcpServer) balances(ctx context.Context, in mcpBalances) (any, error) {
	wallets, err := s.kizo.Wallets(ctx)
	if err != nil {
		return nil, err
	}
	var at time.Time
	if in.At != "" {
		if at, err = s.app.parseTime(in.At); err != nil {
			return nil, err
		}
	}
	found := []any{}
	for _, w := range wallets {
		if in.Currency != "" && w.Currency != in.Currency {
			continue
		}
		if at.IsZero() {
			found = append(found, w)
			continue
		}
		balance, err := s.kizo.Balance(ctx, w.Currency, at)
		if err != nil {
			return nil, err
		}
		found = append(found, balance)
	}
	if len(found) == 0 && in.Currency != "" {
		return nil, noWallet(in.Currency)
	}
	return map[string]any{"balances": found}, nil
}

func (s *mcpServer) transfers(ctx context.Context, in mcpTransfers) (any, error) {
	limit, err := mcpLimit(in.Limit)
	if err != nil {
		return nil, err
	}
	list := transfersListOptions{
		app: s.app, state: in.State, kind: in.Kind, direction: in.Direction, currency: in.Currency, since: in.Since, until: in.Until,
		with: in.With, query: in.Memo, tag: in.Tag,
	}
	params, err := list.params()
	if err != nil {
		return nil, err
	}
	params.Limit = &limit
	if in.Cursor != "" {
		params.Cursor = &in.Cursor
	}
	return s.kizo.Transfers(ctx, params)
}

func (s *mcpServer) transfer(ctx context.Context, text string) (client.Transfer, error) {
	id, err := uuid.Parse(text)
	if err != nil {
		return client.Transfer{}, usagef("id: a transfer's id looks like 01a22193-3b34-7335-886b-58e932bfcf68")
	}
	return s.kizo.Transfer(ctx, id)
}

func (s *mcpServer) statement(ctx context.Context, in mcpStatement) (any, error) {
	limit, err := mcpLimit(in.Limit)
	if err != nil {
		return nil, err
	}
	month, err := s.app.parseMonth(in.Month)
	if err != nil {
		return nil, err
	}
	currency, err := parseCurrency(in.Currency)
	if err != nil {
		return nil, err
	}
	query := client.StatementQuery{Limit: limit, Cursor: in.Cursor}
	if in.Totals {
		query.Totals = maxMCPItems
	}
	return s.kizo.Statement(ctx, string(currency), month, query)
}

func (s *mcpServer) payees(ctx context.Context, in mcpPayees) (any, error) {
	users, err := s.kizo.SearchUsers(ctx, in.Query)
	if err != nil {
		return nil, err
	}
	if len(users) > maxMCPItems {
		users = users[:maxMCPItems]
	}
	found := map[string]any{"users": users}
	if in.Currency == "" {
		return found, nil
	}
	currency, err := parseCurrency(in.Currency)
	if err != nil {
		return nil, err
	}
	checked, err := s.kizo.LookUpPayees(ctx, client.PayeeLookup{Currency: string(currency), Payees: []string{in.Query}})
	found["payable"] = checked
	return found, err
}

func (s *mcpServer) events(ctx context.Context, in mcpEvents) (any, error) {
	limit, err := mcpLimit(in.Limit)
	if err != nil {
		return nil, err
	}
	if in.Since == "" {
		return nil, usagef("since: an event_id, or a time such as 2h")
	}
	opts := &eventsOptions{app: s.app, since: in.Since, limit: int(limit), untilLive: true}
	since, err := opts.begin()
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, mcpEventsTime)
	defer cancel()
	lines := []eventLine{}
	f := &follower{opts: opts, kizo: s.kizo, since: since, pause: time.Second, sleep: sleep, maxFailures: 2}
	f.each = func(e client.Event) error {
		lines = append(lines, eventLine{EventID: e.ID, At: e.At, Transfer: *e.Transfer})
		return nil
	}
	if err := f.follow(ctx); err != nil && (len(lines) == 0 || !errors.Is(err, context.Canceled)) {
		return nil, err
	}
	return map[string]any{"events": lines, "more": len(lines) == int(limit)}, nil
}

// mcpLimit returns the number of items that a tool returns at most.
func mcpLimit(asked int) (int32, error) {
	switch {
	case asked == 0:
		return defaultMCPItems, nil
	case asked < 0 || asked > maxMCPItems:
		return 0, usagef("limit is from 1 to %d", maxMCPItems)
	}
	return int32(asked), nil
}
