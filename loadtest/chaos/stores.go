package main

import (
	"context"
	"fmt"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/JDevAman/kizo/loadtest/rig"
)

// crashPostgres kills PostgreSQL and starts it again after a while.
func (h *system) crashPostgres(ctx context.Context, away time.Duration) error {
	h.postgresUp.Lock()
	defer h.postgresUp.Unlock()
	began := time.Now()
	defer func() { h.faultLog.outage(began, time.Now()) }()
	if err := h.postgres.Kill(); err != nil {
		return fmt.Errorf("crash PostgreSQL: %w", err)
	}
	rig.Pause(ctx, away)
	// Not the run's context: heal still needs PostgreSQL when that ends.
	return h.startPostgres(context.WithoutCancel(ctx))
}

// killRedis kills Redis and starts it again, empty, after a while.
func (h *system) killRedis(ctx context.Context, away time.Duration) error {
	h.redisUp.Lock()
	defer h.redisUp.Unlock()
	if err := h.redis.Kill(); err != nil {
		return fmt.Errorf("kill Redis: %w", err)
	}
	rig.Pause(ctx, away)
	return h.startRedis(context.WithoutCancel(ctx))
}

// flushRedis deletes everything in Redis.
func (h *system) flushRedis(ctx context.Context) error {
	h.redisUp.Lock()
	defer h.redisUp.Unlock()
	client := redis.NewClient(&redis.Options{Network: "unix", Addr: h.redisAddr})
	defer func() { _ = client.Close() }()
	if err := client.FlushAll(ctx).Err(); err != nil {
		return fmt.Errorf("flush Redis: %w", err)
	}
	return nil
}

// A trigger adds a row when a payment is opened, claimed, released, marked for review or ended, in
// the same transaction. Renewing a lease adds none.
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
