package main

import (
	"context"

	"github.com/JDevAman/kizo/tui"
)

// dashboardOnce prints what the dashboard would show now.
func dashboardOnce(ctx context.Context, a *app, flag jsonFlag) error {
	if err := a.checkZone(); err != nil { // its months are local
		return err
	}
	kizo, err := a.kizo()
	if err != nil {
		return err
	}
	snapshot, err := tui.TakeSnapshot(ctx, kizo, a.now())
	if err != nil {
		return err
	}
	if flag.set {
		return a.printJSON(flag, snapshot)
	}
	return a.write(snapshot.Text())
}
