package client

import (
	"errors"
	"fmt"
	"net/http"
	"testing"
)

// A batch is sent again with the same keys, and each transfer keeps its place.
func TestSendBatchRetriesAndChecksTheAnswer(t *testing.T) {
	t.Parallel()
	attempts := 0
	s := newRemote(t, func(w http.ResponseWriter, _ *http.Request) {
		attempts++
		if attempts == 1 {
			w.WriteHeader(http.StatusBadGateway)
			return
		}
		fmt.Fprint(w, `{"results":[{"status":422,"replayed":false}]}`)
	})
	c, _ := dial(t, s.URL, StaticToken("token"))
	row := BatchTransfer{IdempotencyKey: "first", To: "@bob", Amount: 1, Currency: "USD"}
	got, err := c.SendBatch(t.Context(), TransferBatch{Transfers: []BatchTransfer{row}})
	if err != nil || attempts != 2 || got.Results[0].Status != http.StatusUnprocessableEntity {
		t.Errorf("after %d attempts: %+v, %v", attempts, got, err)
	}
	var unknown *UnknownOutcomeError
	if _, err = c.SendBatch(t.Context(), TransferBatch{Transfers: []BatchTransfer{row, row}}); !errors.As(err, &unknown) || unknown.Key != "first" {
		t.Errorf("one result for two transfers: %v", err)
	}
	before := attempts
	if _, err = c.SendBatch(t.Context(), TransferBatch{Transfers: []BatchTransfer{{IdempotencyKey: "with space"}}}); err == nil || attempts != before {
		t.Errorf("a malformed key was sent: %v", err)
	}
	if _, err = c.SendBatch(t.Context(), TransferBatch{}); err == nil || attempts != before {
		t.Errorf("an empty batch was sent: %v", err)
	}
}
