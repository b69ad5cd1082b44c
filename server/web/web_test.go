package web_test

import (
	"bytes"
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/JDevAman/kizo/internal/testkit"
	"github.com/JDevAman/kizo/server/web"
)

func contract(t *testing.T) []byte {
	t.Helper()
	text, err := os.ReadFile("../../openapi.yaml")
	testkit.Must(t, err)
	return text
}

// all returns what the group of a pattern matches.
func all(pattern, text string) []string {
	var found []string
	for _, match := range regexp.MustCompile(pattern).FindAllStringSubmatch(text, -1) {
		found = append(found, match[1])
	}
	return found
}

// TestReferenceIsComplete: the page has every operation and every schema, and no link to a part
// that is not there.
func TestReferenceIsComplete(t *testing.T) {
	text := contract(t)
	page, err := web.Reference(text, "1.2.3", true)
	testkit.Must(t, err)
	ids := map[string]int{}
	for _, id := range all(` id="([^"]+)"`, page) {
		ids[id]++
	}
	for id, times := range ids {
		if times != 1 {
			t.Errorf("the id %s is there %d times", id, times)
		}
	}
	operations := all(`operationId: (\w+)`, string(text))
	_, schemas, _ := strings.Cut(string(text), "\n  schemas:\n")
	names := all(`(?m)^    (\w+):`, schemas)
	if len(operations) < 80 || len(names) < 100 {
		t.Fatalf("%d operations and %d schemas in the contract", len(operations), len(names))
	}
	for _, name := range names {
		operations = append(operations, "schema-"+name)
	}
	for _, id := range operations {
		if ids[id] != 1 {
			t.Errorf("%s is not on the page", id)
		}
	}
	for _, link := range all(`href="#([^"]+)"`, page) {
		if ids[link] == 0 {
			t.Errorf("a link leads to #%s, which is not there", link)
		}
	}
	for _, part := range []string{"`read` or", "MISSING", "<nil>", "ZgotmplZ", "$ref"} {
		if strings.Contains(page, part) {
			t.Errorf("the page contains %q", part)
		}
	}
}

// TestOnlyTryOutHasForms: a page without the forms has no script and no field.
func TestOnlyTryOutHasForms(t *testing.T) {
	for _, tryOut := range []bool{true, false} {
		page, err := web.Reference(contract(t), "1.2.3", tryOut)
		testkit.Must(t, err)
		for _, part := range []string{"<form", "<script", "<input"} {
			if strings.Contains(page, part) != tryOut {
				t.Errorf("with forms: %t, the page contains %s: %t", tryOut, part, !tryOut)
			}
		}
	}
}

// TestContractIsEscaped: text of the contract is text on the page.
func TestContractIsEscaped(t *testing.T) {
	const attack = `<script>alert(1)</script>`
	text := strings.NewReplacer("ATTACK", attack).Replace(`
info: {description: 'ATTACK'}
tags: [{name: one, description: 'ATTACK'}]
paths:
  /x:
    get:
      operationId: x
      tags: [one]
      summary: 'ATTACK'
      description: 'ATTACK'
      parameters: [{name: 'ATTACK', in: query, description: 'ATTACK', schema: {type: string, format: 'ATTACK', enum: ['ATTACK']}}]
      responses: {'200': {description: 'ATTACK'}}
components: {schemas: {One: {type: object, description: 'ATTACK', properties: {'ATTACK': {type: string, description: "- 1\n- ATTACK"}}}}}
`)
	page, err := web.Reference([]byte(text), attack, true)
	testkit.Must(t, err)
	if strings.Contains(page, "<script>") || strings.Count(page, "&lt;script&gt;") < 10 {
		t.Errorf("text is not escaped:\n%s", page)
	}
	landing, err := web.Landing(attack)
	testkit.Must(t, err)
	if strings.Contains(landing, "<script") {
		t.Error("the version is not escaped on the landing page")
	}
}

// TestContractsThatCannotBeShown: the error says where it is.
func TestContractsThatCannotBeShown(t *testing.T) {
	for text, want := range map[string]string{
		"\t":                                   "parse the contract",
		"paths: {/x: {get: {operationId: x}}}": "get /x has 0 tags, want 1",
		"paths: {/x: {get: {operationId: x, tags: [two]}}}":                   `get /x has the unknown tag "two"`,
		"paths: {/x: {get: {operationId: [x]}}}":                              "parse get /x",
		"components: {schemas: {One: {properties: [x]}, Two: {type: [x]}}}":   "parse the schema Two",
		"components: {schemas: {One: {properties: {x: {description: [1]}}}}}": "parse the property x",
	} {
		if _, err := web.Reference([]byte(text), "", false); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %s", text, err, want)
		}
	}
}

// TestLandingPageIsSmall: the page and all that it loads have at most 100 kB, come from the server
// itself, and have no script and no style in attributes, which the policy would not allow.
func TestLandingPageIsSmall(t *testing.T) {
	page, err := web.Landing("1.2.3")
	testkit.Must(t, err)
	size := len(page)
	dark, _, _ := web.Asset("dashboard-dark.png") // in the place of the light one, which is about as large
	if len(dark) == 0 || !strings.Contains(page, `srcset="/assets/dashboard-dark.png"`) {
		t.Error("there is no picture for dark pages")
	}
	for _, loaded := range append(all(` src="([^"]+)"`, page), all(`<link [^>]*href="([^"]+)"`, page)...) {
		name, ours := strings.CutPrefix(loaded, "/assets/")
		content, mediaType, found := web.Asset(name)
		if !ours || !found || mediaType == "" {
			t.Errorf("the page loads %s: found %t, %q", loaded, found, mediaType)
		}
		size += len(content)
	}
	if size < 10_000 || size > 100_000 {
		t.Errorf("the page and what it loads have %d bytes, want at most 100,000", size)
	}
	if found := regexp.MustCompile(`<script|<style| style=| on\w+=|https?://[^"]*\.(css|js|woff)`).FindString(page); found != "" {
		t.Errorf("the page contains %q", found)
	}
}

// TestPictureOfTheLandingPage: make screenshots writes the picture into docs and here.
func TestPictureOfTheLandingPage(t *testing.T) {
	for _, scheme := range []string{"dark", "light"} {
		want, err := os.ReadFile("../../docs/screens/wallet-120x40-" + scheme + ".png")
		testkit.Must(t, err)
		if got, _, _ := web.Asset("dashboard-" + scheme + ".png"); !bytes.Equal(got, want) {
			t.Errorf("assets/dashboard-%s.png is not that of docs/screens: make screenshots copies it", scheme)
		}
	}
	if _, _, found := web.Asset("../web.go"); found {
		t.Error("a file outside of assets is served")
	}
}
