package auth

import (
	"context"
	"fmt"
	"log/slog"
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
)

const (
	maxRecords     = 500       // of a page
	exportInterval = time.Hour // in which further exports of a session are not recorded again
)

// Record is a row about a user, without its secrets.
type Record struct {
	Table string
	Row   map[string]any
}

// A key orders the records of all tables: the number of the table, and a key of the row within it.
// It is the cursor that callers see, so it has a hash in place of what is left out of the records.
// The columns that $3 names are secrets or hashes of secrets; new columns are exported unless they
// are added there. Tables of user ids that are missing here are listed, with the reason, in
// docs/privacy.md.
//
// A page reads no table before that of the cursor, and of the two long ones no more rows than it
// returns: those after the ids $5 and $6.
const sqlRecords = `
SELECT key, name, record - $3::text[]
  FROM (SELECT '01' AS key, 'users' AS name, to_jsonb(t) AS record
          FROM users t WHERE t.id = $1 AND left($2, 2) <= '01'
        UNION ALL
        SELECT '02' || t.handle, 'former_handles', to_jsonb(t)
          FROM former_handles t WHERE t.user_id = $1 AND left($2, 2) <= '02'
        UNION ALL
        SELECT '03', 'second_factors', to_jsonb(t)
          FROM second_factors t WHERE t.user_id = $1 AND left($2, 2) <= '03'
        UNION ALL
        SELECT '04' || encode(sha256(t.code_hash), 'hex'), 'recovery_codes', to_jsonb(t)
          FROM recovery_codes t WHERE t.user_id = $1 AND left($2, 2) <= '04'
        UNION ALL
        SELECT '05' || t.currency, 'step_up_thresholds', to_jsonb(t)
          FROM step_up_thresholds t WHERE t.user_id = $1 AND left($2, 2) <= '05'
        UNION ALL
        SELECT '06', 'reset_codes', to_jsonb(t)
          FROM reset_codes t WHERE t.user_id = $1 AND left($2, 2) <= '06'
        UNION ALL
        SELECT '06' || t.purpose, 'mailed_codes', to_jsonb(t)
          FROM mailed_codes t WHERE t.user_id = $1 AND left($2, 2) <= '06'
        UNION ALL
        SELECT '07' || t.id, 'sessions', to_jsonb(t)
          FROM sessions t WHERE t.user_id = $1 AND left($2, 2) <= '07'
        UNION ALL
        SELECT '08' || encode(sha256(t.token_hash), 'hex'), 'refresh_tokens', to_jsonb(t)
          FROM refresh_tokens t JOIN sessions s ON s.id = t.session_id WHERE s.user_id = $1 AND left($2, 2) <= '08'
        UNION ALL
        SELECT '09' || t.id, 'api_keys', to_jsonb(t)
          FROM api_keys t WHERE t.user_id = $1 AND left($2, 2) <= '09'
        UNION ALL
        SELECT '10' || encode(sha256(t.secret_hash), 'hex'), 'api_key_secrets', to_jsonb(t)
          FROM api_key_secrets t JOIN api_keys k ON k.id = t.key_id WHERE k.user_id = $1 AND left($2, 2) <= '10'
        UNION ALL
        SELECT '11' || encode(sha256(t.address), 'hex'), 'known_addresses', to_jsonb(t) - 'address' -- an HMAC
          FROM known_addresses t WHERE t.user_id = $1 AND left($2, 2) <= '11'
        UNION ALL
        SELECT '12' || encode(sha256(t.token_hash), 'hex'), 'known_devices', to_jsonb(t)
          FROM known_devices t WHERE t.user_id = $1 AND left($2, 2) <= '12'
        UNION ALL
        SELECT '13' || t.id, 'device_logins', to_jsonb(t)
          FROM device_logins t WHERE t.decided_by = $1 AND left($2, 2) <= '13'
        UNION ALL
        (SELECT '14' || lpad(t.id::text, 20, '0'), 'security_events', to_jsonb(t)
           FROM security_events t WHERE t.user_id = $1 AND t.id > $5 ORDER BY t.id LIMIT $4)
        UNION ALL
        (SELECT '15' || lpad(t.id::text, 20, '0'), 'notices', to_jsonb(t) - 'source' - 'payee_id' -- an id of another user
           FROM notices t WHERE t.user_id = $1 AND t.id > $6 ORDER BY t.id LIMIT $4)) records
 WHERE key COLLATE "C" > $2
 ORDER BY key COLLATE "C"
 LIMIT $4`

// secretColumns are left out of all records.
var secretColumns = []string{
	"password_hash", "pepper_id", "secret", "code_hash", "token_hash", "secret_hash",
	"device_code_hash", "user_code_hash", "address_key", "last_step",
}

const sqlRecordedExport = `
SELECT EXISTS (SELECT FROM security_events
        WHERE user_id = $1 AND event = 'data_exported' AND session_id = $2 AND at > $3)`

// Records returns a page of at most 500 records about a user, apart from the books: those after a
// cursor, which is empty for the first page. next is the cursor of the next page, and empty after
// the last one. The export is recorded for the user, once an hour for a session, before it is read.
func (s *Service) Records(ctx context.Context, p Principal, cursor string, client Client) (records []Record, next string, err error) {
	if err := s.recordExport(ctx, p, client); err != nil {
		return nil, "", err
	}
	rows, err := s.pool.Query(ctx, sqlRecords, p.UserID, cursor, secretColumns, maxRecords+1, lastID(cursor, "14"), lastID(cursor, "15"))
	if err != nil {
		return nil, "", fmt.Errorf("read the records of the user: %w", err)
	}
	var (
		key, table string
		row        map[string]any
	)
	_, err = pgx.ForEachRow(rows, []any{&key, &table, &row}, func() error {
		if len(records) == maxRecords {
			next = cursor
			return nil
		}
		timesInUTC(row)
		records, cursor = append(records, Record{table, row}), key
		row = nil // the next row gets a map of its own
		return nil
	})
	if err != nil {
		return nil, "", fmt.Errorf("read the records of the user: %w", err)
	}
	return records, next, nil
}

// lastID returns the id of the last row of a table that the pages up to a cursor have, 0 before the
// first one, and the largest id after the last one.
func lastID(cursor, table string) int64 {
	digits, within := strings.CutPrefix(cursor, table)
	switch {
	case within:
		id, _ := strconv.ParseInt(digits, 10, 64) // 0 for a cursor that no page had
		return id
	case cursor > table:
		return math.MaxInt64
	}
	return 0
}

// timesInUTC writes the times of a row as the other answers have them: to_jsonb uses the time zone
// of the connection.
func timesInUTC(row map[string]any) {
	for name, value := range row {
		text, ok := value.(string)
		if !ok || name != "at" && !strings.HasSuffix(name, "_at") {
			continue
		}
		if at, err := time.Parse(time.RFC3339Nano, text); err == nil {
			row[name] = at.UTC().Format(time.RFC3339Nano)
		}
	}
}

// recordExport stores the event of an export.
func (s *Service) recordExport(ctx context.Context, p Principal, client Client) error {
	var recorded bool
	if err := s.pool.QueryRow(ctx, sqlRecordedExport, p.UserID, p.SessionID, s.now().Add(-exportInterval)).Scan(&recorded); err != nil {
		return fmt.Errorf("look for the event of the export: %w", err)
	}
	if recorded {
		return nil
	}
	if err := s.record(ctx, s.pool, EventDataExported, p.UserID, p.SessionID, client, ""); err != nil {
		return err
	}
	s.events.write(ctx, EventDataExported, append([]slog.Attr{slog.String("user", p.Handle)}, clientAttrs(client)...)...)
	return nil
}
