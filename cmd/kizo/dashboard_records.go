package main

import (
	"context"

	"github.com/JDevAman/kizo/client"
	"github.com/JDevAman/kizo/tui"
)

// unfinishedOf returns the recorded commands of a user at a server without a known outcome: the
// dashboard never sends what another user recorded.
func (a *app) unfinishedOf(kizo *client.Client, me client.User) ([]tui.Unfinished, error) {
	open, err := a.openIntents()
	if err != nil {
		return nil, err
	}
	var list []tui.Unfinished
	for _, i := range distinct(open) {
		if i.Server == kizo.Server() && i.UserID == me.Id.String() {
			list = append(list, tui.Unfinished{Command: i.Command, What: i.What, At: i.At})
		}
	}
	return list, nil
}

// dashboardPayees keeps the names of payees for the dashboard. It implements tui.PayeeNames.
type dashboardPayees struct {
	app  *app
	kizo *client.Client
}

func (p dashboardPayees) List(ctx context.Context) (map[string]string, error) {
	return p.app.payeesOf(ctx, p.kizo)
}

func (p dashboardPayees) Add(ctx context.Context, name, handle string) error {
	_, err := p.app.addPayee(ctx, p.kizo, name, handle)
	return err
}

func (p dashboardPayees) Remove(ctx context.Context, name string) error {
	_, err := p.app.removePayee(ctx, p.kizo, name)
	return err
}
