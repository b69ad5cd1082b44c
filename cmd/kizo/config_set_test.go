package main

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/JDevAman/kizo/internal/testkit"
)

// twoCurrencies returns a server whose user has a USD wallet and opens one in EUR. It accepts every
// deposit.
func twoCurrencies(t *testing.T) *httptest.Server {
	t.Helper()
	var mu sync.Mutex
	opened := false
	mux := http.NewServeMux()
	mux.HandleFunc("GET /v1/me", func(w http.ResponseWriter, _ *http.Request) {
		_ = json.NewEncoder(w).Encode(userAda())
	})
	wallet := func(currency string) string {
		return fmt.Sprintf(`{"id":"0197a7c2-5f0e-7c3b-9d53-0b6f7f1a2c4d","currency":%q,"balance":100,"held":0,"available":100,"status":"active"}`, currency)
	}
	mux.HandleFunc("GET /v1/wallets", func(w http.ResponseWriter, _ *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		if opened {
			fmt.Fprintf(w, `{"items":[%s,%s]}`, wallet("USD"), wallet("EUR"))
			return
		}
		fmt.Fprintf(w, `{"items":[%s]}`, wallet("USD"))
	})
	mux.HandleFunc("POST /v1/wallets", func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		opened = true
		w.WriteHeader(http.StatusCreated)
		fmt.Fprint(w, wallet("EUR"))
	})
	mux.HandleFunc("POST /v1/deposits", answerTransfer(201, "posted", "lunch"))
	server := httptest.NewServer(mux)
	t.Cleanup(server.Close)
	return server
}

func TestADefaultWalletAmongTwo(t *testing.T) {
	w := newWorld(t, twoCurrencies(t))
	w.expect(exitDone, "deposit", "5")
	w.expect(exitDone, "wallet", "open", "eur")
	testkit.Contains(t, w.err.String(), "kizo config set currency USD", "kizo config set currency EUR")
	w.expect(exitDone, "wallet", "open", "eur", "--json")
	if w.err.Len() > 0 {
		t.Errorf("with --json, stderr is for errors: %s", &w.err)
	}

	w.expect(exitUsage, "deposit", "5")
	testkit.Contains(t, w.err.String(), "you have 2 wallets", "kizo deposit 5 --currency USD", "kizo config set currency EUR")
	w.expect(exitDone, "config", "set", "currency", "eur")
	testkit.Contains(t, w.err.String(), "config/kizo/config.toml")
	w.expect(exitDone, "deposit", "5")
	w.expect(exitDone, "config", "list")
	testkit.Contains(t, w.out.String(), "currency\tEUR\n")

	w.expect(exitDone, "wallet", "open", "eur")
	if w.err.Len() > 0 {
		t.Errorf("there is a default wallet, and still: %s", &w.err)
	}
	w.expect(exitDone, "config", "unset", "currency")
	w.expect(exitUsage, "deposit", "5")
}

func TestSettingsAreWrittenWithoutHarmToTheFile(t *testing.T) {
	w := newWorld(t, nil)
	path := w.write("config/kizo/config.toml", "# mine\nserver = \"https://kizo.example\" # the one\n\n  currency=\"USD\"\n")
	testkit.Must(t, os.Chmod(path, 0o644))
	elsewhere := filepath.Join(w.dir, "dotfiles.toml")
	testkit.Must(t, os.Rename(path, elsewhere))
	if err := os.Symlink(elsewhere, path); err != nil {
		t.Fatal(err)
	}
	w.expect(exitDone, "config", "set", "currency", "jpy")
	check := func(want string) {
		t.Helper()
		text, err := os.ReadFile(elsewhere)
		if err != nil || string(text) != want {
			t.Errorf("%v\n%s", err, text)
		}
	}
	check("# mine\nserver = \"https://kizo.example\" # the one\n\n  currency=\"JPY\"\n")
	if info, err := os.Lstat(path); err != nil || info.Mode()&os.ModeSymlink == 0 {
		t.Errorf("the link is gone: %v, %v", info, err)
	}
	if info, err := os.Stat(elsewhere); err != nil || info.Mode().Perm() != 0o644 {
		t.Errorf("%v, %v", info.Mode(), err)
	}
	w.expect(exitDone, "config", "set", "server", "HTTPS://Other.example/")
	check("# mine\nserver = \"https://other.example\" # the one\n\n  currency=\"JPY\"\n")
	w.expect(exitDone, "config", "unset", "server")
	check("# mine\n\n  currency=\"JPY\"\n")
	w.expect(exitDone, "config", "unset", "server") // it is not set, which is no error

	for args, want := range map[string]string{
		"currency EURO":       "try: kizo config set currency EUR",
		"curency EUR":         "try: kizo config set currency EUR",
		"server nonsense":     "needs a scheme",
		"ca_file missing.pem": "missing.pem",
		"currency":            "needs VALUE",
	} {
		w.expect(exitUsage, append([]string{"config", "set"}, strings.Fields(args)...)...)
		testkit.Contains(t, w.err.String(), want)
	}
	check("# mine\n\n  currency=\"JPY\"\n")

	// The environment still overrides it, and the output says so.
	w.env["KIZO_CURRENCY"] = "EUR"
	w.expect(exitDone, "config", "set", "currency", "USD")
	testkit.Contains(t, w.err.String(), "KIZO_CURRENCY", "EUR")

	w.expect(exitDone, "config", "set", "currency", "USD", "--json=key,value,origin")
	testkit.Contains(t, w.out.String(), `{"key":"currency","value":"EUR","origin":"KIZO_CURRENCY"}`)

	other := w.write("other.toml", "")
	w.expect(exitDone, "config", "set", "currency", "USD", "--config", other)
	if text, _ := os.ReadFile(other); string(text) != "currency = \"USD\"\n" {
		t.Errorf("%s", text)
	}
}

// TestAConfigurationWithAByteOrderMark: editors on Windows write one.
func TestAConfigurationWithAByteOrderMark(t *testing.T) {
	w := newWorld(t, nil)
	w.write("config/kizo/config.toml", "\ufeffcurrency = \"JPY\"\r\n")
	w.expect(exitDone, "config", "list")
	testkit.Contains(t, w.out.String(), "currency\tJPY\n")
	w.expect(exitDone, "config", "set", "currency", "EUR")
	w.expect(exitDone, "config", "list")
	testkit.Contains(t, w.out.String(), "currency\tEUR\n")

	path := w.write("config/kizo/config.toml", "\xff\xfec\x00u\x00r\x00")
	w.expect(exitUsage, "config", "list")
	testkit.Contains(t, w.err.String(), path, "UTF-16", "UTF-8")
}
