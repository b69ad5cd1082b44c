package main

import (
	"context"
	"fmt"
	"net"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/JDevAman/kizo/loadtest/rig"
)

// crashPostgres ends PostgreSQL as a crash would and starts it after a while.
func (h *system) crashPostgres(ctx context.Context, away time.Duration) error {
	h.postgresUp.Lock()
	defer h.postgresUp.Unlock()
	began := time.Now()
	defer func() { h.faultLog.outage(began, time.Now()) }()
	if err := h.postgres.Kill(); err != nil {
		return fmt.Errorf("crash PostgreSQL: %w", err)
	}
	rig.Pause(ctx, away)
	// Not the run's context: when that ends, the heal still needs PostgreSQL.
	return h.startPostgres(context.WithoutCancel(ctx))
}

// killRedis ends Redis and starts it, empty, after a while.
func (h *system) killRedis(ctx context.Context, away time.Duration) error {
	h.redisUp.Lock()
	defer h.redisUp.Unlock()
	if err := h.redis.Kill(); err != nil {
		return fmt.Errorf("kill Redis: %w", err)
	}
	rig.Pause(ctx, away)
	return h.startRedis(context.WithoutCancel(ctx))
}

// flushRedis makes Redis forget everything.
func (h *system) flushRedis(ctx context.Context) error {
	h.redisUp.Lock()
	defer h.redisUp.Unlock()
	dialer := net.Dialer{Timeout: time.Second}
	conn, err := dialer.DialContext(ctx, "unix", h.redisAddr)
	if err != nil {
		return fmt.Errorf("flush Redis: %w", err)
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(2 * time.Second))
	if _, err := fmt.Fprint(conn, "FLUSHALL\r\n"); err != nil {
		return fmt.Errorf("flush Redis: %w", err)
	}
	answer := make([]byte, 3)
	if _, err := conn.Read(answer); err != nil || string(answer) != "+OK" {
		return fmt.Errorf("flush Redis: it says %q (%v)", answer, err) //nolint:errorlint // err may be nil
	}
	return nil
}

// A line is written when a payment is opened, claimed, given back, put up for
// review or ended, by the database itself and in the same transaction. Renewing a
// lease writes none.
const logSchema = `
CREATE TABLE chaos_payment_log (
	id bigserial PRIMARY KEY, transfer_id uuid NOT NULL, who text NOT NULL, state text NOT NULL,
	attempts int NOT NULL, fence bigint NOT NULL, old_state text, old_fence bigint, old_lease timestamptz,
	lease_until timestamptz, next_at timestamptz, at timestamptz NOT NULL);
CREATE FUNCTION chaos_log_payment() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS $$
BEGIN
	IF TG_OP = 'UPDATE' AND NEW.fence = OLD.fence AND NEW.state = OLD.state
		AND NOT (NEW.lease_until IS NULL AND OLD.lease_until IS NOT NULL) THEN
		RETURN NULL;
	END IF;
	INSERT INTO chaos_payment_log (transfer_id, who, state, attempts, fence, old_state, old_fence, old_lease, lease_until, next_at, at)
	VALUES (NEW.transfer_id, COALESCE(current_setting('kizo_chaos.who', true), ''), NEW.state, NEW.attempts, NEW.fence,
		CASE TG_OP WHEN 'UPDATE' THEN OLD.state END, CASE TG_OP WHEN 'UPDATE' THEN OLD.fence END,
		CASE TG_OP WHEN 'UPDATE' THEN OLD.lease_until END, NEW.lease_until, NEW.next_at, clock_timestamp());
	RETURN NULL;
END $$;
CREATE TRIGGER chaos_log AFTER INSERT OR UPDATE ON payments FOR EACH ROW EXECUTE FUNCTION chaos_log_payment()`

func installLog(ctx context.Context, admin string) error {
	conn, err := pgx.Connect(ctx, admin)
	if err != nil {
		return fmt.Errorf("install the payments' log: %w", err)
	}
	defer conn.Close(context.WithoutCancel(ctx))
	if _, err := conn.Exec(ctx, logSchema); err != nil {
		return fmt.Errorf("install the payments' log: %w", err)
	}
	return nil
}
