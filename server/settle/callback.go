package settle

import (
	"context"
	"fmt"
	"time"

	"github.com/google/uuid"

	"github.com/JDevAman/kizo/server/bank"
	"github.com/JDevAman/kizo/server/failpoint"
	"github.com/JDevAman/kizo/server/ledger"
)

// CallbackTolerance is the largest difference between the signed time of a callback and the clock
// of this process, in either direction.
const CallbackTolerance = 5 * time.Minute

// Callback handles a request that the bank sent on its own initiative. header is its signature, the
// value of [bank.SignatureHeader]. A callback decides nothing. It makes the payment due, so that
// the bank is asked now and not later. If the payment has already ended with the other outcome,
// Callback records a discrepancy. A second delivery of the same event does nothing.
//
// An invalid signature is one of the errors bank.ErrSignature…, an invalid body
// [ErrCallbackBody].
func (s *Settler) Callback(ctx context.Context, header string, body []byte) error {
	if err := bank.VerifyCallback(header, body, *s.callbackSecret.Load(), time.Now(), CallbackTolerance); err != nil {
		return err
	}
	callback, err := bank.ParseCallback(body)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrCallbackBody, err)
	}
	if err := failpoint.Point("settle.callback"); err != nil {
		return err
	}
	// The event is stored in the same statement as its effect, so a delivery that fails can be
	// repeated.
	const storeEvent = `WITH event AS (
			INSERT INTO bank_callbacks (event_id, external_ref) VALUES ($1, $2)
			ON CONFLICT (event_id) DO NOTHING RETURNING external_ref),
		due AS (
			UPDATE payments p SET next_at = LEAST(next_at, clock_timestamp()), updated_at = clock_timestamp()
			FROM event WHERE p.external_ref = event.external_ref AND p.state IN ('pending', 'unknown') AND p.lease_until IS NULL
			RETURNING p.transfer_id),
		log AS (
			INSERT INTO payment_log (transfer_id, attempt, kind, detail)
			SELECT p.transfer_id, p.attempts, 'callback', $3 FROM payments p JOIN event USING (external_ref))
		SELECT p.transfer_id, p.state, p.attempts FROM payments p JOIN event USING (external_ref)`
	var (
		transfer uuid.UUID
		state    ledger.PaymentState
		attempts int
	)
	rows, err := s.pool.Query(ctx, storeEvent, callback.EventID, callback.Instruction.Ref, callback.Answer.Outcome.String())
	if err != nil {
		return fmt.Errorf("store the bank's callback: %w", err)
	}
	defer rows.Close()
	found := rows.Next()
	if found {
		err = rows.Scan(&transfer, &state, &attempts)
	}
	rows.Close()
	if err == nil {
		err = rows.Err()
	}
	if err != nil {
		return fmt.Errorf("store the bank's callback: %w", err)
	}
	if !found {
		return nil // delivered before, or about no payment of ours, which reconciliation will find
	}
	_ = failpoint.Point("settle.callback_noted")
	switch {
	case state == ledger.PaymentPending || state == ledger.PaymentUnknown:
		s.config.Enqueue(transfer, attempts+1)
	case state == ledger.PaymentExecuted && callback.Answer.Outcome == bank.Rejected,
		state == ledger.PaymentRejected && callback.Answer.Outcome == bank.Executed:
		return s.recordDiscrepancy(ctx, Discrepancy{
			Kind: CallbackDiffers, Ref: callback.Instruction.Ref, Transfer: transfer,
			Detail: fmt.Sprintf("settled as %s, the bank's callback says %s", state, callback.Answer.Outcome),
		}, nil)
	}
	return nil
}

const (
	callbackRetention  = 7 * 24 * time.Hour // much longer than CallbackTolerance
	callbackPruneBatch = 1000               // rows deleted by one statement
)

// pruneCallbacks deletes events that are too old for a valid signature to repeat them.
func (s *Settler) pruneCallbacks(ctx context.Context) error {
	const prune = `DELETE FROM bank_callbacks WHERE event_id IN (
		SELECT event_id FROM bank_callbacks WHERE received_at < clock_timestamp() - $1::interval LIMIT $2)`
	if _, err := s.pool.Exec(ctx, prune, callbackRetention, callbackPruneBatch); err != nil {
		return fmt.Errorf("delete old callbacks: %w", err)
	}
	return nil
}
