package tui

import (
	"encoding/json"
	"strings"
	"testing"
	"time"
	_ "time/tzdata"

	"github.com/JDevAman/kizo/client"
	"github.com/JDevAman/kizo/internal/testkit"
)

func TestParseFilter(t *testing.T) {
	now := time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)
	for _, test := range []struct{ text, want string }{
		{"", "{}"},
		{"  lunch  money ", `{"q":"lunch money"}`},
		{"state:refused", `{"state":"refused"}`},
		{"STATE:Posted kind:deposit", `{"state":"posted","kind":"deposit"}`},
		{"direction:in currency:eur", `{"direction":"in","currency":"EUR"}`},
		{"to:@bob", `{"direction":"out","with":"@bob"}`},
		{"from:bob", `{"direction":"in","with":"@bob"}`},
		{"with:bob@example.com", `{"with":"bob@example.com"}`},
		{"amount:>100", `{"currency":"USD","min_amount":10001}`},
		{"amount:>=100", `{"currency":"USD","min_amount":10000}`},
		{"amount:<0.02", `{"currency":"USD","max_amount":1}`},
		{"amount:<=12.5", `{"currency":"USD","max_amount":1250}`},
		{"amount:12.50", `{"currency":"USD","min_amount":1250,"max_amount":1250}`},
		{"amount:5..10", `{"currency":"USD","min_amount":500,"max_amount":1000}`},
		{"amount:>100 currency:JPY", `{"currency":"JPY","min_amount":101}`},
		{"since:2026-11-01 until:2026-11-08T00:00:00Z", `{"since":"2026-11-01T00:00:00Z","until":"2026-11-08T00:00:00Z"}`},
		{"since:2d", `{"since":"2026-11-22T12:00:00Z"}`},
		{"since:90m", `{"since":"2026-11-24T10:30:00Z"}`},
		{`"state:refused is text"`, `{"q":"state:refused is text"}`},
		{"12:30 http://x", `{"q":"12:30 http://x"}`},
		{"state:refused amt:>100 to:@bob", `{"state":"refused","direction":"out","currency":"USD","min_amount":10001,"with":"@bob"}`},
		{"stat:refused", "error: did you mean state:refused?"},
		{"state:refuse", "error: state:refuse is not known; did you mean state:refused?"},
		{"state:", "error: state: needs a value"},
		{"state:posted state:voided", "error: is given twice"},
		{"to:@bob from:@eve", "error: use only one of to, from and with"},
		{"to:@bob direction:in", "error: exclude each other"},
		{"currency:XXQ", "error: XXQ"},
		{"amount:1.234", "error: 3 decimals"},
		{"amount:~5", "error: ~5"},
		{"amount:><5", "error: put one of"},
		{"amount:<0.01", "error: matches nothing"},
		{"amount:10..5", "error: put the smaller amount first"},
		{"since:tomorrow", "error: since:tomorrow is not a time: use for example 2026-11-24 or 7d"},
		{"since:2026-11-08 until:2026-11-01", "error: before until"},
		{`"open`, "error: is missing at the end"},
	} {
		f, err := parseFilter(test.text, []string{"USD"}, now)
		if errorText, failing := strings.CutPrefix(test.want, "error: "); failing {
			if err == nil || !strings.Contains(err.Error(), errorText) {
				t.Errorf("%q gives the error %v, want %q", test.text, err, errorText)
			}
			continue
		}
		got, _ := json.Marshal(f.params)
		if err != nil || string(got) != test.want {
			t.Errorf("%q is %s (%v), want %s", test.text, got, err, test.want)
		}
	}
	havana, err := time.LoadLocation("America/Havana")
	testkit.Must(t, err)
	f, err := parseFilter("since:2026-03-08 until:2026-03-09", nil, now.In(havana)) // the day begins at 01:00
	if err != nil || *f.params.Since != "2026-03-08T05:00:00Z" || *f.params.Until != "2026-03-09T04:00:00Z" {
		t.Errorf("%v, %v", f, err)
	}
	if _, err := parseFilter("amount:>5", []string{"EUR", "USD"}, now); err == nil || !strings.Contains(err.Error(), "add currency:EUR") {
		t.Errorf("two wallets: %v", err)
	}
}

func TestFilterMatches(t *testing.T) {
	now := time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)
	transfer := client.Transfer{Kind: client.TransferKindTransfer, State: client.Posted, Direction: client.Out, Amount: 1250, Currency: "USD",
		CreatedAt: now.Add(-time.Hour), Memo: pointerTo("Lunch at Joe's"), From: client.Party{Handle: pointerTo("ada")}, To: client.Party{Handle: pointerTo("bob")}}
	for text, want := range map[string]bool{
		"": true, "lunch": true, "dinner": false, "state:posted": true, "state:pending": false, "to:@bob": true, "to:BOB": true, "to:@ada": false,
		"from:@bob": false, "amount:12.50": true, "amount:>12.50": false, "amount:<=12.50": true, "since:2h": true, "since:30m": false,
		"until:30m": true, "until:1h": false, "currency:EUR": false, "kind:deposit": false, "direction:out": true,
	} {
		f, err := parseFilter(text, []string{"USD"}, now)
		testkit.Must(t, err)
		if f.matches(transfer) != want {
			t.Errorf("%q matches: %v", text, !want)
		}
	}
}
