package api_test

import (
	"encoding/json"
	"reflect"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/JDevAman/kizo/internal/testkit"
	"github.com/JDevAman/kizo/openapi"
	"github.com/JDevAman/kizo/server/api"
)

// fill sets every field of a struct, also those behind pointers, to a value that is not zero.
func fill(v reflect.Value, text string, n int64, at time.Time) {
	switch v.Interface().(type) {
	case time.Time:
		v.Set(reflect.ValueOf(at))
		return
	case uuid.UUID:
		v.Set(reflect.ValueOf(uuid.NewSHA1(uuid.Nil, []byte(text))))
		return
	}
	switch v.Kind() {
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		fill(v.Elem(), text, n, at)
	case reflect.Struct:
		for _, field := range v.Fields() {
			fill(field, text, n, at)
		}
	case reflect.Map: // tags
		v.Set(reflect.ValueOf(openapi.Tags{text: text, "b": "2"}))
	case reflect.String:
		v.SetString(text)
	case reflect.Int64:
		v.SetInt(n)
	case reflect.Bool:
		v.SetBool(true)
	default:
		panic("a field of the kind " + v.Kind().String())
	}
}

func sameAsMarshal(t *testing.T, transfer *openapi.Transfer) {
	t.Helper()
	want, wantErr := json.Marshal(transfer)
	got, err := api.EncodeJSON(transfer)
	if (err == nil) != (wantErr == nil) {
		t.Fatalf("the error is %v, that of json.Marshal %v", err, wantErr)
	}
	if err == nil && string(got) != string(want) {
		t.Errorf("encoded as\n%s\njson.Marshal encodes\n%s", got, want)
	}
}

// FuzzEncodeTransfer: a transfer is encoded as json.Marshal encodes it.
func FuzzEncodeTransfer(f *testing.F) {
	for _, text := range []string{"", "lunch", "é", "<a>&\"\\", "\u2028", "\xff", "\x00\n\x7f", "{}"} {
		f.Add(text, int64(1250), int64(1767225600123456789))
	}
	f.Add("x", int64(-1<<63), int64(0))
	f.Fuzz(func(t *testing.T, text string, n, at int64) {
		sameAsMarshal(t, new(openapi.Transfer))
		var full openapi.Transfer
		fill(reflect.ValueOf(&full).Elem(), text, n, time.Unix(0, at).In(time.FixedZone("", 5400)))
		sameAsMarshal(t, &full)
		full.CreatedAt = full.CreatedAt.AddDate(20_000, 0, 0)
		sameAsMarshal(t, &full)
	})
}

func TestEncodeOthers(t *testing.T) {
	t.Parallel()
	got, err := api.EncodeJSON(map[string]int{"a": 1})
	testkit.Must(t, err)
	testkit.Equal(t, "encoded", string(got), `{"a":1}`)
}

func BenchmarkEncodeTransfer(b *testing.B) {
	handle, name, memo := "load_000123", "Ada Lovelace", "lunch"
	now := time.Now().UTC()
	party := openapi.Party{Handle: &handle, Name: &name}
	transfer := openapi.Transfer{
		Id: uuid.New(), Kind: "transfer", State: "posted", Amount: 1250, Currency: "USD", From: party, To: party,
		Direction: "out", Memo: &memo, CreatedAt: now, ResolvedAt: &now,
	}
	for name, encode := range map[string]func(any) ([]byte, error){"encodeJSON": api.EncodeJSON, "json.Marshal": json.Marshal} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := encode(&transfer); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
