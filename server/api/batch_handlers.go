package api

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"

	"github.com/JDevAman/kizo/money"
	"github.com/JDevAman/kizo/openapi"
	"github.com/JDevAman/kizo/server/api/internal/routes"
	"github.com/JDevAman/kizo/server/failpoint"
	"github.com/JDevAman/kizo/server/ledger"
)

// rowsPerRequest is the number of transfers that count as one request for the rate limit.
const rowsPerRequest = 50

// CreateTransferBatch sends or authorizes several transfers.
func (a *API) CreateTransferBatch(ctx context.Context, r routes.CreateTransferBatchRequestObject) (routes.CreateTransferBatchResponseObject, error) {
	if !a.batches.begin(userID(ctx)) {
		return nil, reject(openapi.Overloaded, "", "too many batches are under way; nothing was done, try again in a moment")
	}
	defer a.batches.end(userID(ctx))
	if err := a.limitItems(ctx, len(r.Body.Transfers), rowsPerRequest); err != nil {
		return nil, err
	}
	b, err := a.readBatch(ctx, r.Body.Transfers)
	if err != nil {
		return nil, err
	}
	if err := a.checkBatchStepUp(ctx, b); err != nil {
		return nil, err
	}
	atomically := r.Body.Atomic != nil && *r.Body.Atomic
	if err := a.replayUnresolved(ctx, b, atomically); err != nil {
		return nil, err
	}
	if atomically && slices.ContainsFunc(b.results, func(r *ledger.GroupResult) bool { return r != nil }) {
		for i := range b.results {
			if b.results[i] == nil {
				b.results[i] = &ledger.GroupResult{Err: reject(openapi.BatchRefused, "", "another transfer of the batch has an error, and the batch is all or nothing; nothing was done for this one")}
			}
		}
		return a.batchResponse(ctx, b.results), nil
	}
	var (
		requests  []ledger.GroupRequest
		positions []int
	)
	for i := range b.requests {
		if b.results[i] == nil {
			requests, positions = append(requests, b.requests[i]), append(positions, i)
		}
	}
	_ = failpoint.Point("api.batch")
	for n, result := range a.ledger.TransferMany(ctx, requests, atomically) {
		b.results[positions[n]] = &result
	}
	_ = failpoint.Point("api.batch_done")
	return a.batchResponse(ctx, b.results), nil
}

// batch is the content of a request. A transfer that has a result is not sent to the ledger.
type batch struct {
	requests   []ledger.GroupRequest
	results    []*ledger.GroupResult
	unresolved []int // transfers whose payee was not found; their result is that error
}

// readBatch checks the rows and finds their payees. It fails if the payees cannot be looked up,
// which says nothing about any row.
func (a *API) readBatch(ctx context.Context, rows []openapi.BatchTransfer) (*batch, error) {
	b := &batch{requests: make([]ledger.GroupRequest, len(rows)), results: make([]*ledger.GroupResult, len(rows))}
	queries := make([]payeeQuery, 0, len(rows))
	for i := range rows {
		request, err := groupRequest(ctx, &rows[i])
		b.requests[i] = request
		if err != nil {
			b.results[i] = &ledger.GroupResult{Err: err}
			continue
		}
		queries = append(queries, payeeQuery{rows[i].To, money.Currency(rows[i].Currency)})
	}
	payees, err := a.payees(ctx, queries)
	if err != nil {
		return nil, err
	}
	next := 0
	for i := range rows {
		if b.results[i] != nil {
			continue
		}
		found := payees[queries[next]]
		next++
		b.requests[i].Payee = found.payee.ID
		if found.err != nil {
			b.unresolved = append(b.unresolved, i)
			b.results[i] = &ledger.GroupResult{Err: found.err}
		}
	}
	return b, nil
}

// checkBatchStepUp rejects the batch if one of its transfers needs a step-up and its key was never
// used. Nothing is done then, so that the caller can send the same batch again.
func (a *API) checkBatchStepUp(ctx context.Context, b *batch) error {
	var above []ledger.TransferRequest
	for i := range b.requests {
		if b.results[i] == nil && needsStepUpFor(ctx, b.requests[i].TransferRequest) {
			above = append(above, b.requests[i].TransferRequest)
		}
	}
	return a.onlyReplays(ctx, above...)
}

// replayUnresolved looks for results of transfers whose payee was not found. Their keys may have
// been used when it could be found, and the answer then is what was done. The keys of an atomic
// batch have been used together, so that all of its transfers are looked up.
func (a *API) replayUnresolved(ctx context.Context, b *batch, atomically bool) error {
	if len(b.unresolved) == 0 {
		return nil
	}
	positions := b.unresolved
	if atomically {
		positions = make([]int, len(b.requests))
		for i := range positions {
			positions[i] = i
		}
	}
	requests := make([]ledger.GroupRequest, len(positions))
	for n, i := range positions {
		requests[n] = b.requests[i]
	}
	found, err := a.ledger.Replay(ctx, requests)
	if err != nil {
		return err
	}
	for n, i := range positions {
		if found[n] != nil {
			b.results[i] = found[n]
		}
	}
	return nil
}

// limitItems counts the items of a request beyond the first perRequest, which were counted with the
// request: each perRequest of them as one further request.
func (a *API) limitItems(ctx context.Context, items, perRequest int) error {
	if a.limits.User == nil {
		return nil
	}
	for counted := perRequest; counted < items; counted += perRequest {
		if v := a.limits.User(ctx, userID(ctx)); !v.Allowed {
			refused := reject(openapi.RateLimited, "", fmt.Sprintf("too many requests: this one counts as one for each %d items; wait as long as Retry-After says", perRequest))
			refused.after = v.RetryAfter
			return refused
		}
	}
	return nil
}

// groupRequest returns the request of a row, without its payee.
func groupRequest(ctx context.Context, row *openapi.BatchTransfer) (ledger.GroupRequest, error) {
	if err := ledger.CheckKey(row.IdempotencyKey); err != nil {
		return ledger.GroupRequest{}, err
	}
	request, err := newTransferRequest(ctx, row.IdempotencyKey, openapi.BankTransferCreate{
		Amount: row.Amount, Currency: row.Currency, Memo: row.Memo, Tags: row.Tags,
	})
	if err != nil {
		return ledger.GroupRequest{}, err
	}
	authorize := row.Authorize != nil && *row.Authorize
	request.ExpiresAt, err = expiry(authorize, row.ExpiresAt)
	return ledger.GroupRequest{TransferRequest: request, Authorize: authorize}, err
}

// batchResponse returns the response with the results.
func (a *API) batchResponse(ctx context.Context, results []*ledger.GroupResult) routes.CreateTransferBatch200JSONResponse {
	moved := make([]ledger.Transfer, 0, len(results))
	for i := range results {
		if results[i].Err == nil {
			moved = append(moved, results[i].Result.Transfer)
		}
	}
	views := a.viewDone(ctx, moved...)
	response := routes.CreateTransferBatch200JSONResponse{Results: make([]openapi.BatchResult, len(results))}
	next := 0
	failed := make(map[openapi.ProblemCode]int)
	for i := range results {
		shown := &response.Results[i]
		if err := results[i].Err; err != nil {
			p := problemOf(err)
			if p.Status >= http.StatusInternalServerError {
				failed[p.Code]++
				if failed[p.Code] == 1 { // one line for each code: a database that is down fails all rows
					a.log.Error("transfer of a batch failed", "trace_id", requestOf(ctx).trace.TraceID(), "row", i, "code", string(p.Code), "error", err)
				}
			}
			refusal, ok := errors.AsType[*ledger.Refusal](err)
			shown.Status, shown.Problem, shown.Replayed = p.Status, &p, ok && refusal.Replayed
			continue
		}
		shown.Status, shown.Transfer, shown.Replayed = http.StatusCreated, &views[next], results[i].Result.Replayed
		next++
	}
	return response
}
