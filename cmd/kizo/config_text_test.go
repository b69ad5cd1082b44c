package main

import (
	"strings"
	"testing"

	"github.com/JDevAman/kizo/internal/testkit"
)

// TestSettingsKeepTheTextAroundThem: one line of a file that its user has written changes, in its
// table if there is one, and every comment stays.
func TestSettingsKeepTheTextAroundThem(t *testing.T) {
	const file = `# mine
server = "https://kizo.example" # the server

# Names for commands.
[alias] # by hand
rent = "transfer @bob 800" # on the first
# coffee is next
"coffee" = 'transfer @carol 3'
`
	for name, c := range map[string]struct{ text, key, value, want string }{
		"replaced in a table":      {file, "alias.rent", "transfer @bob 900", strings.Replace(file, "800", "900", 1)},
		"replaced with its quotes": {file, "alias.coffee", "balance", strings.Replace(file, "'transfer @carol 3'", `"balance"`, 1)},
		"added to a table":         {file, "alias.b", `x "y"`, file + `b = "x \"y\""` + "\n"},
		"removed from a table":     {file, "alias.rent", "", strings.Replace(file, `rent = "transfer @bob 800" # on the first`+"\n", "", 1)},
		"replaced before a table":  {file, "server", "https://b.example", strings.Replace(file, "kizo.ex", "b.ex", 1)},
		"added before a table":     {file, "currency", "EUR", strings.Replace(file, "# the server\n", "# the server\ncurrency = \"EUR\"\n", 1)},
		"added above the comment of a table": {"# top\n\n# Names.\n[alias]\na = \"balance\"\n", "currency", "EUR",
			"# top\n\ncurrency = \"EUR\"\n# Names.\n[alias]\na = \"balance\"\n"},
		"added to an empty table":       {"[alias]\n# none yet\n", "alias.a", "balance", "[alias]\na = \"balance\"\n# none yet\n"},
		"without a table":               {"alias.a = \"balance\"", "alias.b", "whoami", "alias.a = \"balance\"\nalias.b = \"whoami\"\n"},
		"a dotted key":                  {"alias . \"a\" = \"balance\"\n", "alias.a", "whoami", "alias . \"a\" = \"whoami\"\n"},
		"a new file":                    {"", "alias.a", "balance", "alias.a = \"balance\"\n"},
		"a switch":                      {"protected = true # careful\n", "protected", "false", "protected = false # careful\n"},
		"lines and a mark from Windows": {"\ufeffserver = \"a\"\r\n[alias]\r\n", "alias.a", "balance", "\ufeffserver = \"a\"\r\n[alias]\r\na = \"balance\"\r\n"},
		"the name in another table":     {"[x]\nrent = \"a\"\n[alias]\n", "alias.rent", "b", "[x]\nrent = \"a\"\n[alias]\nrent = \"b\"\n"},
		"nothing to remove":             {file, "alias.none", "", file},
	} {
		got, err := withSetting(c.text, c.key, c.value)
		if err != nil || got != c.want {
			t.Errorf("%s: %v\n%s\nwant\n%s", name, err, got, c.want)
		}
	}
	for _, text := range []string{"alias = {a = \"balance\"}\n", "alias.b = \"\"\"\n[alias]\n\"\"\"\n[alias.x]\ny = \"z\"\n"} {
		if got, err := withSetting(text, "alias.c", "whoami"); err == nil {
			values, _ := parseConfig([]byte(got))
			testkit.Equal(t, text, values["alias.c"], any("whoami"))
		}
	}
}

// TestPayeesKeepTheTextAroundThem: names are changed in a file that its user has written, with or
// without a table.
func TestPayeesKeepTheTextAroundThem(t *testing.T) {
	before := payeeAliases{"rent": "@bob", "tea": "@carol"}
	after := payeeAliases{"rent": "@bob", "gas": "@dora"}
	for text, want := range map[string]string{
		"# mine\nrent = \"@bob\" # flat\ntea = \"@carol\"\n":           "# mine\nrent = \"@bob\" # flat\ngas = \"@dora\"\n",
		"# mine\n[payees]\nrent = \"@bob\" # flat\ntea = \"@carol\"\n": "# mine\n[payees]\nrent = \"@bob\" # flat\ngas = \"@dora\"\n",
	} {
		got, err := before.edit(text, after)
		testkit.Must(t, err)
		testkit.Equal(t, "file", got, want)
	}
}
