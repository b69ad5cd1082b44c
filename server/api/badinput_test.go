package api_test

import (
	"fmt"
	"strings"
	"testing"
	"unicode"

	"github.com/google/uuid"

	"github.com/JDevAman/kizo/internal/testkit"
	"github.com/JDevAman/kizo/openapi"
)

// wantRefused checks that a bad request is rejected with a helpful detail and changes nothing.
func (h *fixture) wantRefused(what string, a ask, code openapi.ProblemCode) {
	h.t.Helper()
	before := h.rows()
	got := h.do(a)
	p := got.wantProblem(code)
	if strings.ContainsFunc(p.Detail, func(r rune) bool { return !unicode.IsPrint(r) }) {
		h.t.Errorf("%s: the detail carries control characters: %q", what, p.Detail)
	}
	if len(p.Detail) < 20 || len(p.Detail) > 400 || strings.Contains(p.Detail, "json:") || strings.Contains(p.Detail, "unmarshal") {
		h.t.Errorf("%s: the detail does not help: %q", what, p.Detail)
	}
	h.wantUntouched(what, before)
}

// amounts are values of the field amount as they are written in a body, with their codes.
var badAmounts = map[string]openapi.ProblemCode{
	"-1":                           openapi.AmountOutOfRange,
	"-1000":                        openapi.AmountOutOfRange,
	"0":                            openapi.AmountOutOfRange,
	"-0":                           openapi.AmountOutOfRange,
	"1000000000000001":             openapi.AmountOutOfRange, // 10^15 + 1
	"10000000000000000":            openapi.AmountOutOfRange, // 10^16
	"9223372036854775807":          openapi.AmountOutOfRange, // 2^63 - 1
	"-9223372036854775808":         openapi.AmountOutOfRange,
	"9223372036854775808":          openapi.BodyMalformed, // 2^63
	"18446744073709551617":         openapi.BodyMalformed,
	"1" + strings.Repeat("0", 400): openapi.BodyMalformed,
	"1e3":                          openapi.BodyMalformed,
	"1E400":                        openapi.BodyMalformed,
	"1.0":                          openapi.BodyMalformed,
	"12.345":                       openapi.BodyMalformed,
	"0.1":                          openapi.BodyMalformed,
	`"1"`:                          openapi.BodyMalformed,
	`"12.50 USD"`:                  openapi.BodyMalformed,
	"null":                         openapi.BodyMalformed,
	"true":                         openapi.BodyMalformed,
	"[1]":                          openapi.BodyMalformed,
	"{}":                           openapi.BodyMalformed,
	"NaN":                          openapi.BodyMalformed,
	"Infinity":                     openapi.BodyMalformed,
	"0x10":                         openapi.BodyMalformed,
	"01":                           openapi.BodyMalformed,
	"+1":                           openapi.BodyMalformed,
	"1_000":                        openapi.BodyMalformed,
	"":                             openapi.BodyMalformed,
}

func TestBadAmounts(t *testing.T) {
	t.Parallel()
	h := newFixture(t)
	alice, bob := h.pair(1_000_000)
	held := read[openapi.Transfer](h.post(bob.of(h, alice), "/v1/transfers", pay(bob, 10).with("authorize", true)).want(201))
	for amount, code := range badAmounts {
		for path, body := range map[string]string{
			"/v1/transfers":   `{"to":"@bob","currency":"USD","amount":%s}`,
			"/v1/deposits":    `{"currency":"USD","amount":%s}`,
			"/v1/withdrawals": `{"currency":"USD","amount":%s}`,
		} {
			h.wantRefused(path+" "+amount, alice.asks(path, fmt.Sprintf(body, amount)), code)
		}
		h.wantRefused("dry run "+amount, alice.asks("/v1/transfers", fmt.Sprintf(`{"to":"@bob","currency":"USD","dry_run":true,"amount":%s}`, amount)), code)
		h.wantRefused("capture "+amount, bob.asks("/v1/transfers/"+held.Id.String()+"/capture", fmt.Sprintf(`{"amount":%s}`, amount)), code)
	}
	for _, path := range []string{"/v1/transfers", "/v1/deposits", "/v1/withdrawals"} {
		h.wantRefused("no amount", alice.asks(path, `{"to":"@bob","currency":"USD"}`), openapi.BodyMalformed)
	}
	h.wantBalance(alice, 1_000_000, 10)
	h.wantBalance(bob, 0, 0)
}

// of returns alice's transfer; it names whose transfer is meant.
func (u *user) of(_ *fixture, other *user) *user { return other }

func (u *user) asks(path string, body any) ask {
	return ask{method: "POST", path: path, token: u.access, key: uuid.NewString(), body: body}
}

func TestBadMoneyBodies(t *testing.T) {
	t.Parallel()
	h := newFixture(t)
	alice, bob := h.pair(1000)
	euro := read[openapi.Wallet](h.post(bob, "/v1/wallets", fields{"currency": "EUR"}).want(201))
	good := pay(bob, 1)
	for _, bad := range []struct {
		body any
		code openapi.ProblemCode
	}{
		{good.with("currency", "XYZ"), openapi.CurrencyUnknown},
		{good.with("currency", "usd"), openapi.CurrencyUnknown},
		{good.with("currency", ""), openapi.CurrencyUnknown},
		{good.with("currency", "USD "), openapi.CurrencyUnknown},
		{good.with("currency", "\x1b]52;c;\a"), openapi.CurrencyUnknown},
		{good.with("currency", "JPY"), openapi.WalletNotFound}, // a currency, but no wallet of alice's
		{good.with("to", "@unknown"), openapi.PayeeNotFound},
		{good.with("to", ""), openapi.PayeeNotFound},
		{good.with("to", "unknown@example.com"), openapi.PayeeNotFound},
		{good.with("to", "@bob\x00"), openapi.PayeeNotFound},
		{good.with("to", "@bob' OR '1'='1"), openapi.PayeeNotFound},
		{good.with("to", strings.Repeat("b", 10_000)), openapi.PayeeNotFound},
		{good.with("to", uuid.NewString()), openapi.PayeeNotFound},
		{good.with("to", euro.Id.String()), openapi.PayeeNotFound}, // bob's, but not in USD
		{good.with("to", "@alice"), openapi.PayeeIsSelf},
		{good.with("to", "ALICE@example.com"), openapi.PayeeIsSelf},
		{good.with("to", alice.wallet), openapi.PayeeIsSelf},
		{good.with("expires_at", "2030-01-01T00:00:00Z"), openapi.ExpiryOutOfRange}, // not authorized
		{good.with("authorize", true).with("expires_at", "2199-01-01T00:00:00Z"), openapi.ExpiryOutOfRange},
		{good.with("authorize", true).with("expires_at", "0001-01-01T00:00:00Z"), openapi.ExpiryOutOfRange},
		{good.with("authorize", true).with("expires_at", "tomorrow"), openapi.BodyMalformed},
		{good.with("authorize", true).with("expires_at", 1893456000), openapi.BodyMalformed},
		{good.with("authorize", "true"), openapi.BodyMalformed},
		{good.with("dry_run", 1), openapi.BodyMalformed},
		{good.with("to", 7), openapi.BodyMalformed},
		{good.with("memo", []string{"a"}), openapi.BodyMalformed},
	} {
		h.wantRefused(fmt.Sprint(bad.body), alice.asks("/v1/transfers", bad.body), bad.code)
	}
	for _, path := range []string{"/v1/deposits", "/v1/withdrawals"} {
		for currency, code := range map[string]openapi.ProblemCode{
			"usd": openapi.CurrencyUnknown, "": openapi.CurrencyUnknown, "XYZ": openapi.CurrencyUnknown, "KWD": openapi.WalletNotFound,
		} {
			h.wantRefused(path+currency, alice.asks(path, fields{"amount": 1, "currency": currency}), code)
		}
	}
	for _, currency := range []string{"usd", "", "USDT", "€", "\x00"} {
		h.wantRefused("wallet in "+currency, alice.asks("/v1/wallets", fields{"currency": currency}), openapi.CurrencyUnknown)
	}
	h.wantBalance(alice, 1000, 0)
}

func TestBadMemos(t *testing.T) {
	t.Parallel()
	h := newFixture(t)
	alice, bob := h.pair(1000)
	for what, memo := range map[string]string{
		"ESC":             "\x1b[31mred",
		"OSC 52":          "\x1b]52;c;cm0gLXJmIH4=\a",
		"C1 CSI":          "\u009b31m",
		"C1 OSC":          "\u009d52;c;\u009c",
		"bidi override":   "abc\u202edef",
		"bidi isolate":    "abc\u2066def",
		"zero width":      "a\u200bb",
		"joiner":          "a\u200db",
		"loose joiner":    "👨\u200d",
		"non-joiner":      "a\u200cb",
		"two non-joiners": "می\u200c\u200cخواهم",
		"BOM":             "\ufeffa",
		"soft hyphen":     "a\u00adb",
		"NUL":             "a\x00b",
		"newline":         "a\nb",
		"return":          "a\rb",
		"tab":             "a\tb",
		"backspace":       "a\bb",
		"DEL":             "a\x7fb",
		"line separator":  "a\u2028b",
		"no-break space":  "a\u00a0b",
		"private use":     "a\ue000b",
		"unassigned":      "a\U000e0fffb",
		"tag":             "a\U000e0041b",
		"too long":        strings.Repeat("é", 141),
	} {
		for _, path := range []string{"/v1/transfers", "/v1/deposits", "/v1/withdrawals"} {
			body := fields{"amount": 1, "currency": "USD", "memo": memo}
			if path == "/v1/transfers" {
				body["to"] = "@bob"
			}
			h.wantRefused(what, alice.asks(path, body), openapi.MemoMalformed)
		}
	}
	for _, tags := range []fields{{"A": "b"}, {"a": "b c"}, {"a": ""}, {"": "b"}} {
		for _, path := range []string{"/v1/transfers", "/v1/deposits", "/v1/withdrawals"} {
			body := fields{"amount": 1, "currency": "USD", "tags": tags}
			if path == "/v1/transfers" {
				body["to"] = "@bob"
			}
			h.wantRefused(fmt.Sprint(tags), alice.asks(path, body), openapi.TagsMalformed)
		}
	}
	for what, raw := range map[string]string{
		"invalid UTF-8":      "\xff",
		"overlong NUL":       "\xc0\x80",
		"surrogate in UTF-8": "\xed\xa0\x80",
		"half a pair":        `\ud800`,
		"the other half":     `\udc00 x`,
		"replacement":        "\ufffd",
		"raw newline":        "\n",
		"raw NUL":            "\x00",
		"bad escape":         `\x41`,
	} {
		body := `{"to":"@bob","amount":1,"currency":"USD","memo":"` + raw + `"}`
		h.wantRefused(what, alice.asks("/v1/transfers", body), openapi.BodyMalformed)
	}
	// These are valid memos.
	for _, memo := range []string{"", "lunch", "Grüße ☕ 寿司 مرحبا", strings.Repeat("é", 140), `"<script>' OR 1=1 --`, "100 % 👍"} {
		sent := read[openapi.Transfer](h.post(alice, "/v1/transfers", pay(bob, 1).with("memo", memo)).want(201))
		testkit.Equal(t, "memo", text(sent.Memo), memo)
		again := read[openapi.Transfer](h.get(bob, "/v1/transfers/"+sent.Id.String()).want(200))
		testkit.Equal(t, "memo as bob sees it", text(again.Memo), memo)
	}
	h.wantBalance(bob, 6, 0)
}

func text(s *string) string {
	if s == nil {
		return ""
	}
	return *s
}

func TestBadIdentities(t *testing.T) {
	t.Parallel()
	h := newFixture(t)
	h.signUp("alice")
	good := fields{"email": "new@example.com", "handle": "new", "name": "New", "password": password}
	for _, bad := range []struct {
		field string
		value any
		code  openapi.ProblemCode
	}{
		{"handle", "@Alice", openapi.HandleTaken},
		{"email", "new", openapi.EmailMalformed},
		{"email", "new@example.com\x00", openapi.EmailMalformed},
		{"email", "", openapi.EmailMalformed},
		{"handle", "1new", openapi.HandleMalformed},
		{"handle", "n", openapi.HandleMalformed},
		{"handle", "al\u0456ce", openapi.HandleMalformed}, // a Cyrillic i
		{"name", "", openapi.NameMalformed},
		{"name", "a\x1b[2Jb", openapi.NameMalformed},
		{"name", "a\u202eb", openapi.NameMalformed},
		{"name", strings.Repeat("n", 81), openapi.NameMalformed},
		{"password", "short", openapi.PasswordTooShort},
		{"password", strings.Repeat("p", 257), openapi.PasswordTooLong},
		{"currency", "usd", openapi.CurrencyUnknown},
		{"role", "operator", openapi.BodyMalformed},
		{"id", uuid.NewString(), openapi.BodyMalformed},
	} {
		h.wantRefused(fmt.Sprint(bad), ask{method: "POST", path: "/v1/auth/signup", body: good.with(bad.field, bad.value)}, bad.code)
	}
	for _, login := range []fields{
		{"login": "alice", "password": password + "x"},
		{"login": "unknown", "password": password},
		{"login": "", "password": ""},
		{"login": "alice\x00", "password": password},
		{"login": "alice", "password": strings.Repeat("x", 10_000)},
	} {
		h.wantRefused("log in", ask{method: "POST", path: "/v1/auth/login", body: login}, openapi.InvalidCredentials)
	}
	for _, token := range []string{"", "x", "kizo_rt_", strings.Repeat("A", 51)} {
		h.wantRefused("refresh", ask{method: "POST", path: "/v1/auth/refresh", body: fields{"refresh_token": token}}, openapi.RefreshTokenInvalid)
	}
}
