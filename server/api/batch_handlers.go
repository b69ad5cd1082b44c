package api

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"sync/atomic"

	"github.com/valyala/fasthttp"

	"github.com/JDevAman/kizo/money"
	"github.com/JDevAman/kizo/openapi"
	"github.com/JDevAman/kizo/server/api/internal/routes"
	"github.com/JDevAman/kizo/server/auth"
	"github.com/JDevAman/kizo/server/failpoint"
	"github.com/JDevAman/kizo/server/ledger"
)

const (
	batchPath = "/v1/transfers/batch"

	// maxBatches is the number of batches that are worked on at once. Their transfers fit into the
	// queue of the ledger.
	maxBatches = 16

	// rowsPerRequest is the number of transfers of a batch that count as one request for the rate
	// limit.
	rowsPerRequest = 50
)

// limitBody allows a larger body for a batch, if the request has a valid access token. It runs
// before the body is read, so that an anonymous caller cannot make the server keep large bodies in
// memory.
func (a *API) limitBody(header *fasthttp.RequestHeader) (limits fasthttp.RequestConfig) {
	if string(header.RequestURI()) != batchPath {
		return limits
	}
	token, ok := bearer(string(header.Peek(fasthttp.HeaderAuthorization)))
	if !ok {
		return limits
	}
	ctx, cancel := context.WithTimeout(context.Background(), a.timeout)
	defer cancel()
	if _, err := a.auth.Verify(ctx, token); err == nil {
		limits.MaxRequestBodySize = maxBatchBody
	}
	return limits
}

// batchSlots counts the batches that are worked on.
type batchSlots struct{ used atomic.Int64 }

// take reports whether there was a free slot. The caller must call release if there was.
func (s *batchSlots) take() bool {
	if s.used.Add(1) > maxBatches {
		s.used.Add(-1)
		return false
	}
	return true
}

func (s *batchSlots) release() { s.used.Add(-1) }

// CreateTransferBatch sends or authorizes several transfers.
func (a *API) CreateTransferBatch(ctx context.Context, r routes.CreateTransferBatchRequestObject) (routes.CreateTransferBatchResponseObject, error) {
	if !a.batches.take() {
		return nil, reject(openapi.Overloaded, "", "too many batches are under way; nothing was done, try again in a moment")
	}
	defer a.batches.release()
	if err := a.limitRows(ctx, len(r.Body.Transfers)); err != nil {
		return nil, err
	}
	atomically := r.Body.Atomic != nil && *r.Body.Atomic
	results := make([]ledger.GroupResult, len(r.Body.Transfers))
	var (
		requests  []ledger.GroupRequest
		positions []int
		payees    = make(map[payeeQuery]payeeAnswer)
	)
	for i := range r.Body.Transfers {
		request, err := a.groupRequest(ctx, &r.Body.Transfers[i], payees)
		if err != nil {
			results[i].Err = err
			continue
		}
		requests, positions = append(requests, request), append(positions, i)
	}
	if atomically && len(requests) < len(results) {
		for _, i := range positions {
			results[i].Err = reject(openapi.BatchRefused, "", "another transfer of the batch has an error, and the batch is all or nothing; nothing was done")
		}
	} else {
		_ = failpoint.Point("api.batch")
		for n, result := range a.ledger.TransferMany(ctx, requests, atomically) {
			results[positions[n]] = result
		}
		_ = failpoint.Point("api.batch_done")
	}
	return a.batchResponse(ctx, results)
}

// limitRows counts the transfers of a batch beyond the first rowsPerRequest. Those were counted
// with the request.
func (a *API) limitRows(ctx context.Context, rows int) error {
	if a.limits.User == nil {
		return nil
	}
	for counted := rowsPerRequest; counted < rows; counted += rowsPerRequest {
		if v := a.limits.User(ctx, userID(ctx)); !v.Allowed {
			refused := reject(openapi.RateLimited, "", fmt.Sprintf("too many requests: a batch counts as one request for each %d transfers; wait as long as Retry-After says", rowsPerRequest))
			refused.after = v.RetryAfter
			return refused
		}
	}
	return nil
}

// payeeQuery and payeeAnswer remember the payees of one batch.
type (
	payeeQuery  struct{ to, currency string }
	payeeAnswer struct {
		payee auth.UserRef
		err   error
	}
)

func (a *API) groupRequest(ctx context.Context, row *openapi.BatchTransfer, payees map[payeeQuery]payeeAnswer) (ledger.GroupRequest, error) {
	request, err := a.transferRequest(ctx, row.IdempotencyKey, openapi.BankTransferCreate{Amount: row.Amount, Currency: row.Currency, Memo: row.Memo})
	if err != nil {
		return ledger.GroupRequest{}, err
	}
	query := payeeQuery{row.To, row.Currency}
	found, ok := payees[query]
	if !ok {
		found.payee, found.err = a.payee(ctx, row.To, money.Currency(row.Currency))
		payees[query] = found
	}
	if found.err != nil {
		return ledger.GroupRequest{}, found.err
	}
	request.Payee = found.payee.ID
	authorize := row.Authorize != nil && *row.Authorize
	if request.ExpiresAt, err = expiry(authorize, row.ExpiresAt); err != nil {
		return ledger.GroupRequest{}, err
	}
	return ledger.GroupRequest{TransferRequest: request, Authorize: authorize}, nil
}

// batchResponse returns the results. If the names of the parties cannot be read, it omits them: the
// money has moved.
func (a *API) batchResponse(ctx context.Context, results []ledger.GroupResult) (routes.CreateTransferBatchResponseObject, error) {
	moved := make([]ledger.Transfer, 0, len(results))
	for i := range results {
		if results[i].Err == nil {
			moved = append(moved, results[i].Result.Transfer)
		}
	}
	views, err := a.view(ctx, moved...)
	if err != nil {
		a.log.Warn("cannot read the parties of a completed batch", "transfers", len(moved), "error", err)
		views = make([]openapi.Transfer, len(moved))
		for i := range moved {
			views[i] = viewTransfer(moved[i], openapi.Party{}, openapi.Party{}, openapi.Out)
		}
	}
	response := routes.CreateTransferBatch200JSONResponse{Results: make([]openapi.BatchResult, len(results))}
	next := 0
	for i := range results {
		shown := &response.Results[i]
		if err := results[i].Err; err != nil {
			p := problemOf(err)
			if p.Status >= http.StatusInternalServerError {
				a.log.Error("transfer of a batch failed", "trace_id", requestOf(ctx).trace.TraceID(), "row", i, "code", string(p.Code), "error", err)
			}
			refusal, ok := errors.AsType[*ledger.Refusal](err)
			shown.Status, shown.Problem, shown.Replayed = p.Status, &p, ok && refusal.Replayed
			continue
		}
		shown.Status, shown.Transfer, shown.Replayed = http.StatusCreated, &views[next], results[i].Result.Replayed
		next++
	}
	return response, nil
}
