-- +goose Up
-- Ways into the events. Their order is (xid, id): see server/ledger/events.go for
-- why no other lets a reader go on where it stopped without losing any.

-- For the one reader that follows everything. Rows come at its end, so it costs little.
CREATE INDEX events_order ON events (xid, id);
-- For a listener that catches up on its own accounts, however far back.
CREATE INDEX events_debit ON events (debit_account, xid, id);
CREATE INDEX events_credit ON events (credit_account, xid, id) WHERE credit_account IS NOT NULL;

-- What is open, to be counted; money that moves from wallet to wallet never is.
CREATE INDEX transfers_pending_debit ON transfers (debit_account) WHERE state = 'pending';
CREATE INDEX transfers_pending_credit ON transfers (credit_account) WHERE state = 'pending';
CREATE INDEX payments_review ON payments (transfer_id) WHERE state = 'needs_review';

-- +goose Down
DROP INDEX events_order, events_debit, events_credit,
    transfers_pending_debit, transfers_pending_credit, payments_review;
