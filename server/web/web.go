// Package web makes the pages that kizod shows in a browser: a landing page, and a reference of the
// API that is rendered from its contract.
//
//	openapi.yaml ─► Reference ─► /docs
//	landing.html ─► Landing   ─► /
//	assets/      ─► Asset     ─► /assets/…
//
// The pages load nothing from other hosts, set no cookies, and hold their style and scripts in
// files, so that a strict Content-Security-Policy applies to them. The landing page has no script.
package web

import (
	"bytes"
	"embed"
	"fmt"
	"html/template"
	"mime"
	"path"
	"strings"
)

// The values of Content-Security-Policy for the two pages. /docs may send requests to the server
// that it comes from.
const (
	LandingSecurity   = "default-src 'none'; style-src 'self'; img-src 'self'" + neverFramed
	ReferenceSecurity = "default-src 'none'; style-src 'self'; img-src 'self'; script-src 'self'; connect-src 'self'" + neverFramed

	neverFramed = "; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)

//go:embed assets
var assets embed.FS

//go:embed landing.html reference.html
var templates embed.FS

var pages = template.Must(template.New("").Funcs(template.FuncMap{"prose": prose, "span": span}).ParseFS(templates, "*.html"))

// Asset returns a file of the pages and its media type; found is false if there is none with this
// name.
func Asset(name string) (content []byte, mediaType string, found bool) {
	content, err := assets.ReadFile("assets/" + name)
	if err != nil {
		return nil, "", false
	}
	return content, mime.TypeByExtension(path.Ext(name)), true
}

// Landing returns the page that says what Kizo is, and how to make a first payment with this
// server.
func Landing(version string) (string, error) {
	return render("landing.html", struct{ Version string }{version})
}

func render(name string, data any) (string, error) {
	var page bytes.Buffer
	if err := pages.ExecuteTemplate(&page, name, data); err != nil {
		return "", fmt.Errorf("render %s: %w", name, err)
	}
	return page.String(), nil
}

// prose renders the part of Markdown that the contract uses: paragraphs, lists of "- " items, and
// the marks of span.
func prose(text string) template.HTML {
	var b strings.Builder
	for block := range strings.SplitSeq(strings.TrimSpace(text), "\n\n") {
		items, isList := strings.CutPrefix(strings.TrimSpace(block), "- ")
		switch {
		case block == "":
		case isList:
			b.WriteString("<ul>")
			for item := range strings.SplitSeq(items, "\n- ") {
				fmt.Fprintf(&b, "<li>%s</li>", span(item))
			}
			b.WriteString("</ul>")
		default:
			fmt.Fprintf(&b, "<p>%s</p>", span(block))
		}
	}
	return template.HTML(b.String()) //nolint:gosec // span escapes the text
}

// span renders `code` and **emphasis** within a paragraph, and escapes everything else.
func span(text string) template.HTML {
	var b strings.Builder
	for i, part := range strings.Split(text, "`") {
		escaped := template.HTMLEscapeString(part)
		if i%2 == 1 {
			fmt.Fprintf(&b, "<code>%s</code>", escaped)
			continue
		}
		for j, piece := range strings.Split(escaped, "**") {
			if j%2 == 1 {
				piece = "<strong>" + piece + "</strong>"
			}
			b.WriteString(piece)
		}
	}
	return template.HTML(b.String()) //nolint:gosec // all parts are escaped
}
