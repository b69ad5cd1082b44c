package api

import (
	"cmp"
	"encoding/hex"
	"encoding/json"
	"strconv"
	"time"

	"github.com/google/uuid"

	"github.com/JDevAman/kizo/openapi"
)

// encodeJSON returns the JSON of an answer, as json.Marshal does. It writes transfers without
// reflection, because nearly all answers of a busy server are one transfer.
func encodeJSON(answer any) ([]byte, error) {
	t, ok := answer.(*openapi.Transfer)
	if !ok {
		return json.Marshal(answer)
	}
	const usual = 512 // bytes; a transfer without a long memo is shorter
	e := encoder{out: make([]byte, 0, usual), first: true}
	e.transfer(t)
	return e.out, e.err
}

// encoder appends JSON to out. After an error, out is incomplete.
type encoder struct {
	out   []byte
	first bool // the next member is the first one of its object
	err   error
}

func (e *encoder) transfer(t *openapi.Transfer) {
	e.open()
	e.number("amount", &t.Amount)
	e.number("authorized_amount", t.AuthorizedAmount)
	e.time("created_at", &t.CreatedAt)
	e.text("currency", &t.Currency)
	e.text("direction", (*string)(&t.Direction))
	e.time("expires_at", t.ExpiresAt)
	e.party("from", &t.From)
	e.uuid("id", &t.Id)
	e.text("kind", (*string)(&t.Kind))
	e.text("memo", t.Memo)
	e.text("reason", t.Reason)
	e.time("resolved_at", t.ResolvedAt)
	e.number("reversed_amount", t.ReversedAmount)
	e.uuid("reverses", t.Reverses)
	e.text("state", (*string)(&t.State))
	e.tags("tags", t.Tags)
	e.party("to", &t.To)
	e.close()
}

func (e *encoder) party(name string, p *openapi.Party) {
	e.name(name)
	e.open()
	e.bool("bank", p.Bank)
	e.text("handle", p.Handle)
	e.text("name", p.Name)
	e.bool("staff", p.Staff)
	e.close()
}

func (e *encoder) open()  { e.out, e.first = append(e.out, '{'), true }
func (e *encoder) close() { e.out, e.first = append(e.out, '}'), false }

// name appends the name of a member, which needs no escapes. The methods below append a member;
// for nil they append nothing.
func (e *encoder) name(name string) {
	if !e.first {
		e.out = append(e.out, ',')
	}
	e.first = false
	e.out = append(append(append(e.out, '"'), name...), `":`...)
}

func (e *encoder) number(name string, n *int64) {
	if n != nil {
		e.name(name)
		e.out = strconv.AppendInt(e.out, *n, 10)
	}
}

func (e *encoder) tags(name string, tags *openapi.Tags) {
	if tags == nil {
		return
	}
	text, err := json.Marshal(*tags)
	e.name(name)
	e.out, e.err = append(e.out, text...), cmp.Or(e.err, err)
}

func (e *encoder) bool(name string, b *bool) {
	if b != nil {
		e.name(name)
		e.out = strconv.AppendBool(e.out, *b)
	}
}

func (e *encoder) time(name string, t *time.Time) {
	if t == nil {
		return
	}
	e.name(name)
	e.out = append(e.out, '"')
	var err error
	e.out, err = t.AppendText(e.out) // an error if the year has more than four digits
	e.out = append(e.out, '"')
	e.err = cmp.Or(e.err, err)
}

func (e *encoder) uuid(name string, id *uuid.UUID) {
	if id == nil {
		return
	}
	e.name(name)
	e.out = append(e.out, '"')
	for i, end := range [...]int{4, 6, 8, 10, 16} {
		if i > 0 {
			e.out = append(e.out, '-')
		}
		begin := [...]int{0, 4, 6, 8, 10}[i]
		e.out = hex.AppendEncode(e.out, id[begin:end])
	}
	e.out = append(e.out, '"')
}

func (e *encoder) text(name string, text *string) {
	if text == nil {
		return
	}
	e.name(name)
	for i := range len(*text) {
		if !plainInJSON[(*text)[i]] {
			escaped, err := json.Marshal(*text)
			e.out = append(e.out, escaped...)
			e.err = cmp.Or(e.err, err)
			return
		}
	}
	e.out = append(append(append(e.out, '"'), *text...), '"')
}

// plainInJSON are the characters that json.Marshal does not escape.
var plainInJSON = byteSet(" !#$%'()*+,-./0123456789:;=?@ABCDEFGHIJKLMNOPQRSTUVWXYZ[]^_`abcdefghijklmnopqrstuvwxyz{|}~")
