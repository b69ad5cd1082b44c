-- +goose Up
-- Phase: expand
-- Operators: approvals by a second operator, and what they looked at
-- (server/auth/approvals.go, operatorviews.go). kizod of the version before asks for none of it.
SET LOCAL lock_timeout = '5s';

-- An action of an operator that needs the approval of another one. The action and its subject are
-- all of its parameters. decided_by never is requested_by.
CREATE TABLE operator_approvals (
    id           uuid        PRIMARY KEY,
    action       text        NOT NULL CHECK (length(action) BETWEEN 1 AND 60),
    subject      text        NOT NULL CHECK (length(subject) BETWEEN 1 AND 200),
    about        text        NOT NULL CHECK (length(about) <= 200 AND about !~ '[[:cntrl:]]'), -- for people
    reason       text        NOT NULL CHECK (length(reason) BETWEEN 1 AND 500),
    requested_by uuid        NOT NULL REFERENCES users (id),
    requested_at timestamptz NOT NULL,
    expires_at   timestamptz NOT NULL,
    state        text        NOT NULL DEFAULT 'pending' CHECK (state IN ('pending', 'approved', 'rejected', 'expired')),
    decided_by   uuid        REFERENCES users (id),
    decided_at   timestamptz,
    done_at      timestamptz, -- when the approved action was carried out
    CONSTRAINT operator_approvals_life CHECK (expires_at > requested_at AND expires_at - requested_at <= interval '7 days'),
    CONSTRAINT operator_approvals_decided CHECK ((state IN ('pending', 'expired')) = (decided_by IS NULL) AND (decided_by IS NULL) = (decided_at IS NULL)),
    CONSTRAINT operator_approvals_two CHECK (decided_by <> requested_by),
    CONSTRAINT operator_approvals_in_time CHECK (state <> 'approved' OR decided_at < expires_at),
    CONSTRAINT operator_approvals_done CHECK (done_at IS NULL OR state = 'approved')
);
CREATE UNIQUE INDEX operator_approvals_pending ON operator_approvals (action, subject) WHERE state = 'pending';
CREATE INDEX operator_approvals_requested ON operator_approvals (requested_at, id);

CREATE TRIGGER operator_approvals_kept BEFORE DELETE OR TRUNCATE ON operator_approvals
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
CREATE TRIGGER operator_approvals_decision BEFORE UPDATE ON operator_approvals FOR EACH ROW
    WHEN (OLD.state <> 'pending' AND (NEW.state, NEW.decided_by, NEW.decided_at) IS DISTINCT FROM (OLD.state, OLD.decided_by, OLD.decided_at)
          OR OLD.done_at IS NOT NULL AND NEW.done_at IS DISTINCT FROM OLD.done_at)
    EXECUTE FUNCTION refuse_change_after_end();

-- When an operator last looked at data of a user; only the first look of an hour is recorded among
-- the actions. user_id is zero for a list of data of many users.
CREATE TABLE operator_views (
    operator  uuid        NOT NULL REFERENCES users (id),
    user_id   uuid        NOT NULL,
    kind      text        NOT NULL CHECK (length(kind) BETWEEN 1 AND 40),
    viewed_at timestamptz NOT NULL,
    PRIMARY KEY (operator, user_id, kind)
);
CREATE INDEX operator_views_viewed ON operator_views (viewed_at);

GRANT SELECT,
      INSERT (id, action, subject, about, reason, requested_by, requested_at, expires_at),
      UPDATE (state, decided_by, decided_at, done_at)
      ON operator_approvals TO kizo_app;
GRANT SELECT, DELETE, INSERT (operator, user_id, kind, viewed_at), UPDATE (viewed_at) ON operator_views TO kizo_app;

-- +goose Down
-- +goose StatementBegin
DO $$ BEGIN RAISE EXCEPTION 'users cannot be migrated down: restore a backup'; END $$;
-- +goose StatementEnd
