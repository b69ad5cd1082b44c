package tui

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/JDevAman/kizo/client"
	"github.com/JDevAman/kizo/internal/localtime"
	"github.com/JDevAman/kizo/internal/text"
	"github.com/JDevAman/kizo/money"
)

// filter narrows the list of transfers. It is typed as words:
//
//	state:refused  kind:deposit  direction:in  currency:EUR
//	to:@bob  from:@ada  with:@bob
//	amount:100  amt:>100  amount:<=20  amount:5..10      decimals of the currency
//	since:2026-11-01  until:7d                           a date here, RFC 3339, or how long ago
//	anything else: text that the memo holds; "in quotes" with its spaces
//
// The server applies the filter. matches applies it to events that arrive between two pages.
type filter struct {
	text   string // as typed, "" for all transfers
	params client.ListTransfersParams

	since, until time.Time
	other        string // a handle without its @
}

// maxFilter limits the length of a filter, in characters.
const maxFilter = 200

// filterKeys returns the words that have a meaning before a colon. In text such as "12:30", the
// colon has none.
func filterKeys() []string {
	return []string{"state", "kind", "direction", "currency", "to", "from", "with", "amount", "since", "until"}
}

// filterChoices returns the keys that have a fixed set of values, with these.
func filterChoices() map[string][]string {
	return map[string][]string{
		"state":     {"pending", "posted", "voided", "refused"},
		"kind":      {"transfer", "authorization", "deposit", "withdrawal", "reversal"},
		"direction": {"in", "out"},
	}
}

// parseFilter parses a filter. currencies are those in which amounts without currency: may be: that
// of the selected wallet, if the user has several. The error names the wrong word and shows a valid
// form.
func parseFilter(text string, currencies []string, now time.Time) (filter, error) {
	f := filter{text: strings.Join(strings.Fields(text), " ")}
	words, err := filterWords(text)
	if err != nil {
		return f, err
	}
	values := map[string]string{}
	var free []string
	for _, word := range words {
		key, value, isKey := strings.Cut(word.text, ":")
		if key = strings.ToLower(key); key == "amt" {
			key = "amount"
		}
		if word.quoted || !isKey {
			free = append(free, word.text)
			continue
		}
		if !slices.Contains(filterKeys(), key) {
			if near, found := nearKey(key); found {
				return f, fmt.Errorf("%s: is not a filter; did you mean %s:%s?", key, near, value)
			}
			free = append(free, word.text)
			continue
		}
		if value == "" {
			return f, fmt.Errorf("%s: needs a value after the colon, without a space", key)
		}
		if _, twice := values[key]; twice {
			return f, fmt.Errorf("%s: is given twice", key)
		}
		values[key] = value
	}
	if len(free) > 0 {
		f.params.Q = pointerTo(strings.Join(free, " "))
	}
	for _, part := range []func(map[string]string) error{f.choices, f.party,
		func(v map[string]string) error { return f.amounts(v, currencies) },
		func(v map[string]string) error { return f.times(v, now) },
	} {
		if err := part(values); err != nil {
			return f, err
		}
	}
	return f, nil
}

// choices parses the words that have a fixed set of values.
func (f *filter) choices(values map[string]string) error {
	for _, choice := range []struct {
		key string
		to  **string
	}{{"state", &f.params.State}, {"kind", &f.params.Kind}, {"direction", &f.params.Direction}} {
		value, given := values[choice.key]
		if !given {
			continue
		}
		value = strings.ToLower(value)
		if allowed := filterChoices()[choice.key]; !slices.Contains(allowed, value) {
			if near, found := nearest(value, allowed); found {
				return fmt.Errorf("%s:%s is not known; did you mean %s:%s?", choice.key, value, choice.key, near)
			}
			return fmt.Errorf("%s:%s is not one of %s", choice.key, value, strings.Join(allowed, ", "))
		}
		*choice.to = &value
	}
	if value, given := values["currency"]; given {
		currency, err := money.ParseCurrency(strings.ToUpper(value))
		if err != nil {
			return err
		}
		f.params.Currency = pointerTo(string(currency))
	}
	return nil
}

// party parses the other side. to and from also set the direction.
func (f *filter) party(values map[string]string) error {
	for _, word := range []struct{ key, direction string }{{"to", "out"}, {"from", "in"}, {"with", ""}} {
		value, given := values[word.key]
		if !given {
			continue
		}
		if f.params.With != nil {
			return errors.New("use only one of to, from and with")
		}
		if !strings.Contains(value, "@") {
			value = "@" + value
		}
		f.params.With = &value
		if handle, isHandle := strings.CutPrefix(value, "@"); isHandle {
			f.other = strings.ToLower(handle)
		}
		if word.direction == "" {
			continue
		}
		if f.params.Direction != nil && *f.params.Direction != word.direction {
			return fmt.Errorf("%s: and direction:%s exclude each other", word.key, *f.params.Direction)
		}
		f.params.Direction = pointerTo(word.direction)
	}
	return nil
}

// amounts parses amount:, with the decimals of the currency.
func (f *filter) amounts(values map[string]string, currencies []string) error {
	text, given := values["amount"]
	if !given {
		return nil
	}
	if f.params.Currency == nil {
		if len(currencies) != 1 {
			return errors.New("amount: needs a currency: add currency:" + strings.Join(append(currencies, "USD")[:1], ""))
		}
		f.params.Currency = &currencies[0]
	}
	currency := money.Currency(*f.params.Currency)
	if low, high, both := strings.Cut(text, ".."); both {
		lowest, err := money.Parse(low, currency)
		if err != nil {
			return err
		}
		highest, err := money.Parse(high, currency)
		if err != nil {
			return err
		}
		if lowest.Minor > highest.Minor {
			return fmt.Errorf("amount:%s matches nothing: put the smaller amount first", text)
		}
		f.params.MinAmount, f.params.MaxAmount = &lowest.Minor, &highest.Minor
		return nil
	}
	number := strings.TrimLeft(text, "<>=")
	sign := text[:len(text)-len(number)]
	amount, err := money.Parse(number, currency)
	if err != nil {
		return err
	}
	switch sign {
	case ">":
		f.params.MinAmount = pointerTo(amount.Minor + 1)
	case ">=":
		f.params.MinAmount = &amount.Minor
	case "<":
		if amount.Minor == 1 {
			return fmt.Errorf("amount:%s matches nothing: no amount is smaller", text)
		}
		f.params.MaxAmount = pointerTo(amount.Minor - 1)
	case "<=":
		f.params.MaxAmount = &amount.Minor
	case "", "=":
		f.params.MinAmount, f.params.MaxAmount = &amount.Minor, &amount.Minor
	default:
		return fmt.Errorf("amount:%s: put one of >, >=, < and <= before the number", text)
	}
	return nil
}

func (f *filter) times(values map[string]string, now time.Time) error {
	for _, bound := range []struct {
		key  string
		at   *time.Time
		text **string
	}{{"since", &f.since, &f.params.Since}, {"until", &f.until, &f.params.Until}} {
		value, given := values[bound.key]
		if !given {
			continue
		}
		at, err := localtime.Parse(value, now)
		if err != nil {
			return fmt.Errorf("%s:%s is not a time: use for example %s or 7d (ago)", bound.key, value, now.Format(time.DateOnly))
		}
		*bound.at, *bound.text = at, pointerTo(at.UTC().Format(time.RFC3339Nano))
	}
	if f.params.Since != nil && f.params.Until != nil && !f.since.Before(f.until) {
		return errors.New("since must be before until")
	}
	return nil
}

// filterWord is a word of a filter. A quoted word may contain spaces and colons.
type filterWord struct {
	text   string
	quoted bool
}

func filterWords(text string) ([]filterWord, error) {
	var words []filterWord
	for rest := strings.TrimSpace(text); rest != ""; rest = strings.TrimSpace(rest) {
		if rest[0] == '"' {
			inside, after, closed := strings.Cut(rest[1:], `"`)
			if !closed {
				return nil, errors.New(`a " is missing at the end`)
			}
			if inside != "" {
				words = append(words, filterWord{inside, true})
			}
			rest = after
			continue
		}
		end := strings.IndexFunc(rest, func(r rune) bool { return r == ' ' || r == '\t' })
		if end < 0 {
			end = len(rest)
		}
		words = append(words, filterWord{rest[:end], false})
		rest = rest[end:]
	}
	return words, nil
}

// nearKey returns the key that was probably meant. Text with a colon, such as http://x, is none.
func nearKey(typed string) (string, bool) { return nearest(typed, filterKeys()) }

// nearest returns the word that was probably meant: one that typed begins or that begins with it,
// that differs in one letter, or whose letters were exchanged.
func nearest(typed string, words []string) (string, bool) {
	if len(typed) < 2 {
		return "", false
	}
	letters := func(word string) string { return string(slices.Sorted(slices.Values([]rune(word)))) }
	for _, like := range []func(word string) bool{
		func(word string) bool { return strings.HasPrefix(word, typed) || strings.HasPrefix(typed, word) },
		func(word string) bool { return len(typed) > 2 && text.Distance(typed, word) == 1 },
		func(word string) bool { return letters(typed) == letters(word) },
	} {
		if i := slices.IndexFunc(words, like); i >= 0 {
			return words[i], true
		}
	}
	return "", false
}

// canMatch reports whether matches can decide: only the server can look up an e-mail address.
func (f *filter) canMatch() bool { return f.params.With == nil || f.other != "" }

// matches reports whether the server would list the transfer under this filter.
func (f *filter) matches(t client.Transfer) bool {
	p := &f.params
	is := func(want *string, value string) bool { return want == nil || *want == value }
	if !is(p.State, string(t.State)) || !is(p.Kind, string(t.Kind)) || !is(p.Direction, string(t.Direction)) || !is(p.Currency, t.Currency) {
		return false
	}
	if p.MinAmount != nil && t.Amount < *p.MinAmount || p.MaxAmount != nil && t.Amount > *p.MaxAmount {
		return false
	}
	if p.Since != nil && t.CreatedAt.Before(f.since) || p.Until != nil && !t.CreatedAt.Before(f.until) {
		return false
	}
	if p.Q != nil && !strings.Contains(text.Fold(value(t.Memo)), text.Fold(*p.Q)) {
		return false
	}
	return p.With == nil || f.other == strings.ToLower(value(otherSide(t).Handle))
}

// with returns the filter that has a word of a key as well, instead of the words that exclude it.
func (f *filter) with(key, word string) string {
	exclude := map[string][]string{"to": {"from", "with", "direction"}, "from": {"to", "with", "direction"}, "with": {"to", "from"},
		"amount": {"currency"}, "day": {"since", "until"}}
	words, err := filterWords(f.text)
	if err != nil {
		return word
	}
	var kept []string
	for _, w := range words {
		name, _, isKey := strings.Cut(w.text, ":")
		if name = strings.ToLower(name); name == "amt" {
			name = "amount"
		}
		isKey = isKey && !w.quoted && slices.Contains(filterKeys(), name)
		switch {
		case isKey && (name == key || slices.Contains(exclude[key], name)), !isKey && key == "text":
		case w.quoted:
			kept = append(kept, `"`+w.text+`"`)
		default:
			kept = append(kept, w.text)
		}
	}
	return strings.Join(append(kept, word), " ")
}

// otherSide returns the party that the money went to or came from.
func otherSide(t client.Transfer) client.Party {
	if t.Direction == client.In {
		return t.From
	}
	return t.To
}

func pointerTo[T any](v T) *T { return &v }
