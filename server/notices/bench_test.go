package notices_test

import (
	"fmt"
	"testing"

	"github.com/google/uuid"

	"github.com/JDevAman/kizo/internal/testkit"
	"github.com/JDevAman/kizo/money"
	"github.com/JDevAman/kizo/server/auth"
	"github.com/JDevAman/kizo/server/ledger"
)

// BenchmarkWatcher measures the processing of the events of 10,000 payments among 100 users, of
// which each pair is new once.
func BenchmarkWatcher(bm *testing.B) {
	b := newBank(bm)
	var users []auth.User
	for i := range 100 {
		users = append(users, b.customer(fmt.Sprintf("user%d", i)))
	}
	const payments = 10_000
	for bm.Loop() {
		bm.StopTimer()
		b.watch(b.watcher)
		var requests []ledger.GroupRequest
		for i := range payments {
			from, to := users[i%100], users[(i+1+i/100%99)%100]
			requests = append(requests, ledger.GroupRequest{TransferRequest: ledger.TransferRequest{
				Owner: from.ID, Payee: to.ID, Amount: money.Amount{Minor: 1, Currency: "USD"}, Key: uuid.NewString(),
			}})
		}
		for len(requests) > 0 {
			for _, r := range b.ledger.TransferMany(bm.Context(), requests[:500], false) {
				testkit.Must(bm, r.Err)
			}
			requests = requests[500:]
		}
		b.visible()
		bm.StartTimer()
		b.watch(b.watcher)
	}
	bm.ReportMetric(float64(payments*bm.N)/bm.Elapsed().Seconds(), "payments/s")
}
