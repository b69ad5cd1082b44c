package main

import (
	"context"

	"github.com/JDevAman/kizo/tui"
)

// dashboardOnce prints what the dashboard would show now.
func dashboardOnce(ctx context.Context, a *app, flags outputFlags) error {
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
	if flags.wantsJSON() {
		return a.printJSON(flags, snapshot)
	}
	return a.write(snapshot.Text())
}
