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

// CallbackTolerance is how far a callback's signed time may be from ours, either
// way.
const CallbackTolerance = 5 * time.Minute

// Callback takes in what the bank sends by itself: header is its signature. A
// callback decides nothing. It makes the payment due, so that the bank is asked
// now rather than later; and where the payment has ended the other way, that is a
// discrepancy. A second delivery of an event does nothing.
//
// Errors of the signature are bank.ErrSignature…, those of the body ErrCallbackBody.
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
	// Remembered only together with its effect, so that one that fails is done again.
	const remember = `WITH event AS (
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
	rows, err := s.pool.Query(ctx, remember, callback.EventID, callback.Instruction.Ref, callback.Answer.Outcome.String())
	if err != nil {
		return fmt.Errorf("note the bank's callback: %w", err)
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
		return fmt.Errorf("note the bank's callback: %w", err)
	}
	if !found {
		return nil // seen before, or about nothing of ours: the statement will tell
	}
	_ = failpoint.Point("settle.callback_noted")
	switch {
	case state == ledger.PaymentPending || state == ledger.PaymentUnknown:
		s.config.Enqueue(transfer, attempts+1)
	case state == ledger.PaymentExecuted && callback.Answer.Outcome == bank.Rejected,
		state == ledger.PaymentRejected && callback.Answer.Outcome == bank.Executed:
		return s.record(ctx, Discrepancy{
			Kind: CallbackDiffers, Ref: callback.Instruction.Ref, Transfer: transfer,
			Detail: fmt.Sprintf("settled as %s, the bank's callback says %s", state, callback.Answer.Outcome),
		}, nil)
	}
	return nil
}

const (
	keepCallbacks  = 7 * 24 * time.Hour // far longer than a signature holds good
	callbacksPrune = 1000               // at once
)

// pruneCallbacks forgets events that no signature is young enough to repeat.
func (s *Settler) pruneCallbacks(ctx context.Context) error {
	const prune = `DELETE FROM bank_callbacks WHERE event_id IN (
		SELECT event_id FROM bank_callbacks WHERE received_at < clock_timestamp() - $1::interval LIMIT $2)`
	if _, err := s.pool.Exec(ctx, prune, keepCallbacks, callbacksPrune); err != nil {
		return fmt.Errorf("forget old callbacks: %w", err)
	}
	return nil
}
