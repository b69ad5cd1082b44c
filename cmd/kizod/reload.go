package main

import (
	"context"
	"log/slog"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"github.com/JDevAman/kizo/server"
	"github.com/JDevAman/kizo/server/auth"
)

// reloader reads the settings and the secrets file again at each SIGHUP. If they are invalid, it
// logs an error and the old values stay in use.
type reloader struct {
	cmd    *cobra.Command
	all    []setting
	read   *settings // those in use
	server *server.Server
	log    *slog.Logger
	level  *slog.LevelVar
}

// run reloads at each hangup until ctx ends.
func (r *reloader) run(ctx context.Context, hangups <-chan os.Signal) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-hangups:
			r.reload(ctx)
		}
	}
}

func (r *reloader) reload(ctx context.Context) {
	read, err := readSettings(r.cmd, r.all...)
	if err != nil {
		r.log.Error("SIGHUP: not reloaded; the old settings and secrets stay in use", "error", err)
		return
	}
	secrets, err := loadSecrets(ctx, read)
	if err == nil {
		err = r.use(ctx, read, secrets)
	}
	if err != nil {
		r.log.Error("SIGHUP: not reloaded; the old settings and secrets stay in use", "error", err)
		return
	}
	if keys := r.changed(read); len(keys) > 0 {
		r.log.Warn("these settings have changed and need a restart", "settings", strings.Join(keys, ", "))
	}
	r.level.Set(levelOf(read))
	signingKey, pepper := r.server.SecretIDs()
	r.log.Info("SIGHUP: reloaded", "signing_key", signingKey, "pepper", pepper, "log_level", read.get(logLevel))
}

// use replaces the certificate and the secrets, or neither.
func (r *reloader) use(ctx context.Context, read *settings, secrets auth.Secrets) error {
	certificate, err := server.LoadCertificate(read.get(tlsCert), read.get(tlsKey))
	if err != nil {
		return err
	}
	if err := r.server.CheckCertificate(certificate); err != nil {
		return err
	}
	if err := r.server.UseSecrets(ctx, secrets); err != nil {
		return err
	}
	return r.server.UseCertificate(certificate)
}

// changed returns the settings whose new values need a restart.
func (r *reloader) changed(read *settings) (keys []string) {
	for _, s := range r.all {
		reloaded := s.key == secretsFile.key || s.key == tlsCert.key || s.key == tlsKey.key || s.key == logLevel.key || s.key == bankCallbackSecret.key
		if !reloaded && read.get(s) != r.read.get(s) {
			keys = append(keys, s.key)
		}
	}
	return keys
}
