package books

import (
	"encoding/csv"
	"encoding/json"
	"strings"

	"github.com/JDevAman/kizo/client"
	"github.com/JDevAman/kizo/internal/printable"
	"github.com/JDevAman/kizo/money"
)

var (
	csvFormat = Format{
		Name: "csv", Extension: "csv",
		Header: csvLine("at", "event_id", "transfer", "kind", "state", "with", "memo",
			"amount", "hold", "currency", "balance", "held", "tags"),
		Wallet: none[money.Currency], Entry: csvEntry, Closing: none[*Wallet],
	}
	jsonl = Format{
		Name: "jsonl", Extension: "jsonl",
		Wallet: none[money.Currency], Entry: jsonEntry, Closing: none[*Wallet],
	}
)

// row is an entry as an object. Amounts are minor units.
type row struct {
	At       string `json:"at"`
	EventID  string `json:"event_id,omitempty"`
	Transfer string `json:"transfer,omitempty"`
	Kind     string `json:"kind"`
	State    string `json:"state,omitempty"`
	With     string `json:"with,omitempty"`
	Memo     string `json:"memo,omitempty"`
	Amount   int64  `json:"amount"`
	Hold     int64  `json:"hold"`
	Currency string `json:"currency"`
	Balance  int64  `json:"balance"`
	Held     int64  `json:"held"`

	Tags *client.Tags `json:"tags,omitempty"`
}

func (e *Entry) row() row {
	r := row{
		At: utc(e.At), Kind: "opening", Amount: e.Change, Hold: e.Hold,
		Currency: string(e.Wallet.Currency), Balance: e.Wallet.Balance, Held: e.Wallet.Held,
	}
	if e.EventID != "" {
		r.EventID, r.Transfer = e.EventID, e.Transfer.Id.String()
		r.Kind, r.State = string(e.Transfer.Kind), string(e.Transfer.State)
		r.With, r.Memo, r.Tags = e.counterparty(), e.memo(), e.Transfer.Tags
	}
	return r
}

// csvEntry writes amounts with their decimals. A cell with text never begins like a formula.
func csvEntry(e *Entry) string {
	r := e.row()
	decimal := func(minor int64) string { return money.Amount{Minor: minor, Currency: e.Wallet.Currency}.Decimal() }
	return csvLine(r.At, csvText(r.EventID), r.Transfer, csvText(r.Kind), csvText(r.State), csvText(r.With), csvText(r.Memo),
		decimal(r.Amount), decimal(r.Hold), r.Currency, decimal(r.Balance), decimal(r.Held), csvText(e.userTags()))
}

func csvText(s string) string { return printable.NotFormula(printable.Text(s)) }

func csvLine(cells ...string) string {
	var line strings.Builder
	out := csv.NewWriter(&line)
	_ = out.Write(cells) // a strings.Builder accepts every write
	out.Flush()
	return line.String()
}

func jsonEntry(e *Entry) string {
	var line strings.Builder
	encoder := json.NewEncoder(&line)
	encoder.SetEscapeHTML(false)
	_ = encoder.Encode(e.row()) // strings and integers always have an encoding
	return string(printable.JSON([]byte(line.String())))
}
