package server

import (
	"log/slog"

	"github.com/JDevAman/kizo/server/embedded"
)

// OwnerURL returns the URL of a Dev's database for the owner of its tables.
func (d *Dev) OwnerURL() string { return d.postgres.URL(Database, embedded.OwnerRole) }

// CheckTransport is the check that Start does first.
func (c Config) CheckTransport(log *slog.Logger) error { return c.checkTransport(log) }
