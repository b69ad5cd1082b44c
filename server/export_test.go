package server

import (
	"log/slog"

	"github.com/JDevAman/kizo/server/embedded"
)

// OwnerURL is the way to a Dev's database as the owner of its tables.
func (d *Dev) OwnerURL() string { return d.postgres.URL(Database, embedded.OwnerRole) }

// CheckTransport is what Start does first.
func (c Config) CheckTransport(log *slog.Logger) error { return c.checkTransport(log) }
