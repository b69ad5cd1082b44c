package api_test

import (
	"fmt"
	"strings"
	"testing"
	"unicode"

	"github.com/google/uuid"

	"github.com/JDevAman/kizo/server/api"
)

// wantRefused checks that a bad request is told so in words that help, and leaves
// nothing behind.
func (h *house) wantRefused(what string, a ask, code api.ProblemCode) {
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

// What may stand for an amount, as it is written in the body.
var badAmounts = map[string]api.ProblemCode{
	"-1":                           api.AmountOutOfRange,
	"-1000":                        api.AmountOutOfRange,
	"0":                            api.AmountOutOfRange,
	"-0":                           api.AmountOutOfRange,
	"1000000000000001":             api.AmountOutOfRange, // 10^15 + 1
	"10000000000000000":            api.AmountOutOfRange, // 10^16
	"9223372036854775807":          api.AmountOutOfRange, // 2^63 - 1
	"-9223372036854775808":         api.AmountOutOfRange,
	"9223372036854775808":          api.BodyMalformed, // 2^63
	"18446744073709551617":         api.BodyMalformed,
	"1" + strings.Repeat("0", 400): api.BodyMalformed,
	"1e3":                          api.BodyMalformed,
	"1E400":                        api.BodyMalformed,
	"1.0":                          api.BodyMalformed,
	"12.345":                       api.BodyMalformed,
	"0.1":                          api.BodyMalformed,
	`"1"`:                          api.BodyMalformed,
	`"12.50 USD"`:                  api.BodyMalformed,
	"null":                         api.BodyMalformed,
	"true":                         api.BodyMalformed,
	"[1]":                          api.BodyMalformed,
	"{}":                           api.BodyMalformed,
	"NaN":                          api.BodyMalformed,
	"Infinity":                     api.BodyMalformed,
	"0x10":                         api.BodyMalformed,
	"01":                           api.BodyMalformed,
	"+1":                           api.BodyMalformed,
	"1_000":                        api.BodyMalformed,
	"":                             api.BodyMalformed,
}

func TestBadAmounts(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	alice, bob := h.pair(1_000_000)
	held := read[api.Transfer](h.post(bob.of(h, alice), "/v1/transfers", pay(bob, 10).with("authorize", true)).want(201))
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
		h.wantRefused("no amount", alice.asks(path, `{"to":"@bob","currency":"USD"}`), api.BodyMalformed)
	}
	h.wantBalance(alice, 1_000_000, 10)
	h.wantBalance(bob, 0, 0)
}

// of is alice; it reads as whose transfer is meant.
func (u *user) of(_ *house, other *user) *user { return other }

func (u *user) asks(path string, body any) ask {
	return ask{method: "POST", path: path, token: u.access, key: uuid.NewString(), body: body}
}

func TestBadMoneyBodies(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	alice, bob := h.pair(1000)
	euro := read[api.Wallet](h.post(bob, "/v1/wallets", fields{"currency": "EUR"}).want(201))
	good := pay(bob, 1)
	for _, bad := range []struct {
		body any
		code api.ProblemCode
	}{
		{good.with("currency", "XYZ"), api.CurrencyUnknown},
		{good.with("currency", "usd"), api.CurrencyUnknown},
		{good.with("currency", ""), api.CurrencyUnknown},
		{good.with("currency", "USD "), api.CurrencyUnknown},
		{good.with("currency", "\x1b]52;c;\a"), api.CurrencyUnknown},
		{good.with("currency", "JPY"), api.WalletNotFound}, // a currency, but no wallet of alice's
		{good.with("to", "@nobody"), api.PayeeNotFound},
		{good.with("to", ""), api.PayeeNotFound},
		{good.with("to", "nobody@example.com"), api.PayeeNotFound},
		{good.with("to", "@bob\x00"), api.PayeeNotFound},
		{good.with("to", "@bob' OR '1'='1"), api.PayeeNotFound},
		{good.with("to", strings.Repeat("b", 10_000)), api.PayeeNotFound},
		{good.with("to", uuid.NewString()), api.PayeeNotFound},
		{good.with("to", euro.Id.String()), api.PayeeNotFound}, // bob's, but not in USD
		{good.with("to", "@alice"), api.PayeeIsSelf},
		{good.with("to", "ALICE@example.com"), api.PayeeIsSelf},
		{good.with("to", alice.wallet), api.PayeeIsSelf},
		{good.with("expires_at", "2030-01-01T00:00:00Z"), api.ExpiryOutOfRange}, // not authorized
		{good.with("authorize", true).with("expires_at", "2199-01-01T00:00:00Z"), api.ExpiryOutOfRange},
		{good.with("authorize", true).with("expires_at", "0001-01-01T00:00:00Z"), api.ExpiryOutOfRange},
		{good.with("authorize", true).with("expires_at", "tomorrow"), api.BodyMalformed},
		{good.with("authorize", true).with("expires_at", 1893456000), api.BodyMalformed},
		{good.with("authorize", "true"), api.BodyMalformed},
		{good.with("dry_run", 1), api.BodyMalformed},
		{good.with("to", 7), api.BodyMalformed},
		{good.with("memo", []string{"a"}), api.BodyMalformed},
	} {
		h.wantRefused(fmt.Sprint(bad.body), alice.asks("/v1/transfers", bad.body), bad.code)
	}
	for _, path := range []string{"/v1/deposits", "/v1/withdrawals"} {
		for currency, code := range map[string]api.ProblemCode{
			"usd": api.CurrencyUnknown, "": api.CurrencyUnknown, "XYZ": api.CurrencyUnknown, "KWD": api.WalletNotFound,
		} {
			h.wantRefused(path+currency, alice.asks(path, fields{"amount": 1, "currency": currency}), code)
		}
	}
	for _, currency := range []string{"usd", "", "USDT", "€", "\x00"} {
		h.wantRefused("wallet in "+currency, alice.asks("/v1/wallets", fields{"currency": currency}), api.CurrencyUnknown)
	}
	h.wantBalance(alice, 1000, 0)
}

func TestBadMemos(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
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
			h.wantRefused(what, alice.asks(path, body), api.MemoMalformed)
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
		h.wantRefused(what, alice.asks("/v1/transfers", body), api.BodyMalformed)
	}
	// What people do write.
	for _, memo := range []string{"", "lunch", "Grüße ☕ 寿司 مرحبا", strings.Repeat("é", 140), `"<script>' OR 1=1 --`, "100 % 👍"} {
		sent := read[api.Transfer](h.post(alice, "/v1/transfers", pay(bob, 1).with("memo", memo)).want(201))
		equal(t, "memo", text(sent.Memo), memo)
		again := read[api.Transfer](h.get(bob, "/v1/transfers/"+sent.Id.String()).want(200))
		equal(t, "memo as bob sees it", text(again.Memo), memo)
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
	h := newHouse(t)
	h.signUp("alice")
	good := fields{"email": "new@example.com", "handle": "new", "name": "New", "password": password}
	for _, bad := range []struct {
		field string
		value any
		code  api.ProblemCode
	}{
		{"handle", "@Alice", api.HandleTaken},
		{"email", "new", api.EmailMalformed},
		{"email", "new@example.com\x00", api.EmailMalformed},
		{"email", "", api.EmailMalformed},
		{"handle", "1new", api.HandleMalformed},
		{"handle", "n", api.HandleMalformed},
		{"handle", "al\u0456ce", api.HandleMalformed}, // a Cyrillic i
		{"name", "", api.NameMalformed},
		{"name", "a\x1b[2Jb", api.NameMalformed},
		{"name", "a\u202eb", api.NameMalformed},
		{"name", strings.Repeat("n", 81), api.NameMalformed},
		{"password", "short", api.PasswordTooShort},
		{"password", strings.Repeat("p", 257), api.PasswordTooLong},
		{"currency", "usd", api.CurrencyUnknown},
		{"role", "operator", api.BodyMalformed},
		{"id", uuid.NewString(), api.BodyMalformed},
	} {
		h.wantRefused(fmt.Sprint(bad), ask{method: "POST", path: "/v1/auth/signup", body: good.with(bad.field, bad.value)}, bad.code)
	}
	for _, login := range []fields{
		{"login": "alice", "password": password + "x"},
		{"login": "nobody", "password": password},
		{"login": "", "password": ""},
		{"login": "alice\x00", "password": password},
		{"login": "alice", "password": strings.Repeat("x", 10_000)},
	} {
		h.wantRefused("log in", ask{method: "POST", path: "/v1/auth/login", body: login}, api.InvalidCredentials)
	}
	for _, token := range []string{"", "x", "kizo_rt_", strings.Repeat("A", 51)} {
		h.wantRefused("refresh", ask{method: "POST", path: "/v1/auth/refresh", body: fields{"refresh_token": token}}, api.RefreshTokenInvalid)
	}
}
