package main

import (
	"log/slog"
	"os"

	"golang.org/x/term"
)

// newLogger writes to stderr: text for a person at a terminal, JSON for machines.
func newLogger(r *settings) *slog.Logger {
	var level slog.Level
	_ = level.UnmarshalText([]byte(r.get(logLevel))) // checked
	format := r.get(logFormat)
	if format == "" && term.IsTerminal(int(os.Stderr.Fd())) {
		format = "text"
	}
	options := &slog.HandlerOptions{Level: level}
	if format == "text" {
		return slog.New(slog.NewTextHandler(os.Stderr, options))
	}
	return slog.New(slog.NewJSONHandler(os.Stderr, options))
}
