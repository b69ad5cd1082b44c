package ids

import (
	"encoding/json"
	"fmt"
	"testing"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgtype"
)

func TestTextForm(t *testing.T) {
	const text = "0190a0b0-0000-7000-8000-000000000001"
	id := UserID(uuid.MustParse(text))
	encoded, err := json.Marshal(map[string]UserID{"user": id})
	if err != nil || string(encoded) != `{"user":"`+text+`"}` {
		t.Errorf("JSON: %s, %v", encoded, err)
	}
	if got := fmt.Sprint(id); got != text {
		t.Errorf("text: %s", got)
	}
	if id.IsZero() || !(UserID{}).IsZero() {
		t.Error("IsZero is wrong")
	}
}

// TestPgxFormat: pgx encodes and decodes an id in the binary format, and decodes NULL only into a
// pointer.
func TestPgxFormat(t *testing.T) {
	id := UserID(uuid.New())
	m := pgtype.NewMap()
	encoded, err := m.Encode(pgtype.UUIDOID, pgtype.BinaryFormatCode, id, nil)
	if err != nil || string(encoded) != string(id[:]) {
		t.Fatalf("encoded as %x, %v", encoded, err)
	}
	var decoded UserID
	if err := m.Scan(pgtype.UUIDOID, pgtype.BinaryFormatCode, encoded, &decoded); err != nil || decoded != id {
		t.Errorf("decoded as %s, %v", decoded, err)
	}
	if err := m.Scan(pgtype.UUIDOID, pgtype.BinaryFormatCode, nil, &decoded); err == nil {
		t.Error("NULL was decoded")
	}
	pointer := &decoded
	if err := m.Scan(pgtype.UUIDOID, pgtype.BinaryFormatCode, nil, &pointer); err != nil || pointer != nil {
		t.Errorf("NULL was decoded as %v, %v", pointer, err)
	}
	array, err := m.Encode(pgtype.UUIDArrayOID, pgtype.BinaryFormatCode, []UserID{id, id}, nil)
	if err != nil {
		t.Fatal(err)
	}
	var list []UserID
	if err := m.Scan(pgtype.UUIDArrayOID, pgtype.BinaryFormatCode, array, &list); err != nil || len(list) != 2 || list[1] != id {
		t.Errorf("array decoded as %v, %v", list, err)
	}
}
