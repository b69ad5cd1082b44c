package main

import (
	"log/slog"
	"os"

	"golang.org/x/term"
)

// newLogger returns a logger to stderr: by default text on a terminal, else JSON.
func newLogger(r *settings) *slog.Logger { return newLeveledLogger(r, levelOf(r)) }

func levelOf(r *settings) slog.Level {
	var l slog.Level
	_ = l.UnmarshalText([]byte(r.get(logLevel))) // checked
	return l
}

// newLeveledLogger returns a logger whose level may change later, as that of a [slog.LevelVar].
func newLeveledLogger(r *settings, level slog.Leveler) *slog.Logger {
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
