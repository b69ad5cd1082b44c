package main

import (
	"context"
	"strconv"
	"strings"

	"github.com/google/uuid"

	"github.com/JDevAman/kizo/client"
)

const (
	minShortID   = 6   // hexadecimal digits
	maxLookBack  = 500 // the newest transfers, among which a short id must be unique
	shortIDsHelp = "ID may be its first or last 6 or more digits, if they are unique among your newest 500 transfers"
)

// findTransfer returns the id that a user means: the whole id, or the beginning or the end of it.
// Ids begin with their time, so that it is mostly the end that distinguishes them.
func (a *app) findTransfer(ctx context.Context, kizo *client.Client, text string) (uuid.UUID, error) {
	digits := strings.ToLower(strings.ReplaceAll(text, "-", ""))
	if len(digits) < minShortID || len(digits) >= 32 || strings.Trim(digits, "0123456789abcdef") != "" {
		return parseID(text, "kizo transfers list")
	}
	newest, err := newestTransfers(ctx, kizo, maxLookBack)
	if err != nil {
		return uuid.Nil, err
	}
	var found []string
	for _, t := range newest {
		whole := strings.ReplaceAll(t.Id.String(), "-", "")
		if strings.HasPrefix(whole, digits) || strings.HasSuffix(whole, digits) {
			found = append(found, t.Id.String())
		}
	}
	switch len(found) {
	case 1:
		return uuid.MustParse(found[0]), nil
	case 0:
		return uuid.Nil, withHint(usagef("no id of your newest %d transfers begins or ends with %q", len(newest), text), "kizo transfers list")
	}
	next := make([]string, 0, 3)
	for _, id := range found[:min(len(found), 3)] {
		next = append(next, a.retyped(text, id))
	}
	return uuid.Nil, withHint(usagef("%d ids begin or end with %q", len(found), text), next...)
}

// showTransfer is findTransfer for commands that only read. They also take last, the newest
// transfer, and last~N, the one N before it. A command that moves money does not: another transfer
// may have arrived since the user looked.
func (a *app) showTransfer(ctx context.Context, kizo *client.Client, text string) (uuid.UUID, error) {
	before, isLast := strings.CutPrefix(text, "last")
	if !isLast {
		return a.findTransfer(ctx, kizo, text)
	}
	back := 0
	if before != "" {
		var err error
		back, err = strconv.Atoi(strings.TrimPrefix(before, "~"))
		if err != nil || !strings.HasPrefix(before, "~") || back < 0 || back >= maxLookBack {
			return uuid.Nil, withHint(usagef("%q is not an id: last~1 is the one before the last", text), "kizo transfers list")
		}
	}
	newest, err := newestTransfers(ctx, kizo, back+1)
	if err != nil {
		return uuid.Nil, err
	}
	if len(newest) <= back {
		return uuid.Nil, withHint(&exitError{exit: exitNotFound, code: string(client.TransferNotFound), err: usagef("you have %d transfers", len(newest))}, "kizo transfers list")
	}
	return newest[back].Id, nil
}

func newestTransfers(ctx context.Context, kizo *client.Client, count int) ([]client.Transfer, error) {
	list := &transfersListOptions{limit: count}
	found, _, err := list.collect(ctx, kizo, client.ListTransfersParams{})
	return found, err
}
