package api_test

import (
	"bytes"
	"net/http"
	"os"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/getkin/kin-openapi/openapi3filter"
	"github.com/getkin/kin-openapi/routers"

	kizo "github.com/JDevAman/kizo"
	"github.com/JDevAman/kizo/internal/testkit"
	"github.com/JDevAman/kizo/openapi"
	"github.com/JDevAman/kizo/server/api"
	"github.com/JDevAman/kizo/server/auth"
	"github.com/JDevAman/kizo/server/ledger"
	"github.com/JDevAman/kizo/server/problem"
)

// contract is openapi.yaml, parsed by a library that is not used to generate code. Objects may have
// no fields beyond it.
var contract = sync.OnceValue(func() *openapi3.T {
	doc, err := openapi3.NewLoader().LoadFromData(kizo.Contract)
	if err != nil {
		panic(err)
	}
	closed := false
	for _, schema := range doc.Components.Schemas {
		if schema.Value.Type.Is("object") && schema.Value.AdditionalProperties.Schema == nil {
			schema.Value.AdditionalProperties.Has = &closed
		}
	}
	return doc
})

// TestContractIsValid: a comma in a description without quotes makes the rest a field of its own.
func TestContractIsValid(t *testing.T) {
	testkit.Must(t, contract().Validate(t.Context(), openapi3.DisableExamplesValidation()))
}

// operation is an operation of the contract, with the path of its Fiber route.
type operation struct {
	*openapi3.Operation
	method, path string // path as the contract writes it
}

var parameter = regexp.MustCompile(`\{(\w+)\}`)

func operations() map[string]operation {
	found := make(map[string]operation)
	for path, item := range contract().Paths.Map() {
		for method, op := range item.Operations() {
			found[method+" "+parameter.ReplaceAllString(path, ":$1")] = operation{op, method, path}
		}
	}
	return found
}

func (o operation) takes(in, name string) bool {
	return o.Parameters.GetByInAndName(in, name) != nil
}

// checkContract checks a response against the contract: status, headers, media type and body. A
// response outside the contract must be a problem.
func checkContract(t testing.TB, request *http.Request, got *answer) {
	t.Helper()
	if !strings.HasPrefix(request.URL.Path, "/v1/") {
		return
	}
	testkit.Equal(t, "Cache-Control of "+request.URL.Path, got.header.Get("Cache-Control") == "no-store" || got.status >= 400, true)
	for _, at := range moments.FindAllSubmatch(got.body, -1) {
		if !bytes.HasSuffix(at[1], []byte("Z")) {
			t.Errorf("%s %s: a time that is not in UTC: %s", request.Method, request.URL.Path, at[0])
		}
	}
	item, path := findPath(request.URL.Path)
	if item == nil || item.GetOperation(request.Method) == nil {
		if got.status < 400 {
			t.Errorf("%s %s: answered, but no part of the contract", request.Method, request.URL.Path)
		}
		return
	}
	op := item.GetOperation(request.Method)
	input := &openapi3filter.ResponseValidationInput{
		RequestValidationInput: &openapi3filter.RequestValidationInput{
			Request: request,
			Route:   &routers.Route{Spec: contract(), Path: path, PathItem: item, Method: request.Method, Operation: op},
		},
		Status: got.status, Header: got.header,
		Options: &openapi3filter.Options{IncludeResponseStatus: true},
	}
	input.SetBodyBytes(got.body)
	if err := openapi3filter.ValidateResponse(request.Context(), input); err != nil {
		t.Errorf("%s %s: %d is against the contract: %v\n%s", request.Method, request.URL.Path, got.status, err, got.body)
	}
	if got.status == http.StatusNoContent {
		testkit.Equal(t, "body of a 204", len(got.body), 0)
	}
}

var moments = regexp.MustCompile(`"(?:\w+_at|at)":"([^"]+)"`)

func findPath(path string) (*openapi3.PathItem, string) {
	if item := contract().Paths.Value(path); item != nil {
		return item, path
	}
	for template, item := range contract().Paths.Map() {
		pattern := "^" + parameter.ReplaceAllString(template, `[^/]+`) + "$"
		if regexp.MustCompile(pattern).MatchString(path) {
			return item, template
		}
	}
	return nil, ""
}

func TestCodesAreTheSameEverywhere(t *testing.T) {
	t.Parallel()
	stated := make(map[openapi.ProblemCode]bool)
	for _, code := range contract().Components.Schemas["ProblemCode"].Value.Enum {
		stated[openapi.ProblemCode(code.(string))] = true
	}
	wantSame(t, "codes in the contract and in the table of statuses", stated, api.Statuses)
	for _, code := range ledger.Codes() {
		if !stated[openapi.ProblemCode(code)] {
			t.Errorf("the ledger's %s is missing", code)
		}
	}
	for _, code := range auth.Codes() {
		if !stated[openapi.ProblemCode(code)] {
			t.Errorf("auth's %s is missing", code)
		}
	}
	for code, status := range api.Statuses {
		if status < 400 || status > 599 || http.StatusText(status) == "" {
			t.Errorf("%s has status %d", code, status)
		}
		if !code.Valid() {
			t.Errorf("%s is unknown to the generated code", code)
		}
	}
}

func TestUnknownCodesBecomeInternal(t *testing.T) {
	t.Parallel()
	p := api.Describe(problem.New(ledger.Fenced, "another worker has the payment"))
	testkit.Equal(t, "code", p.Code, openapi.Internal)
	testkit.Equal(t, "status", p.Status, 500)
}

func TestTablesFollowTheContract(t *testing.T) {
	t.Parallel()
	wantSame(t, "operations of the contract and rows of the table", operations(), api.Operations(func(api.Row) bool { return true }))
	all, withBody, withKey := map[string]bool{}, map[string]bool{}, map[string]bool{}
	open, reserved := map[string]bool{}, map[string]bool{}
	for name, op := range operations() {
		all[name] = true
		if api.ReservedFor(op.path) {
			reserved[name] = true
		}
		if op.RequestBody != nil {
			withBody[name] = true
			testkit.Equal(t, name+" requires its body", op.RequestBody.Value.Required, true)
		}
		if op.takes("header", "Idempotency-Key") {
			withKey[name] = true
		}
		if op.Security != nil && len(*op.Security) == 0 {
			open[name] = true
		}
		if op.Responses.Default() == nil || op.Responses.Default().Value.Content["application/problem+json"] == nil {
			t.Errorf("%s has no problem as its default answer", name)
		}
	}
	wantSame(t, "operations with a body", withBody, api.Operations(api.Row.HasBody))
	wantSame(t, "operations with a key", withKey, api.Operations(api.Row.MovesMoney))
	wantSame(t, "operations without a token", open, api.Operations(api.Row.IsPublic))
	wantSame(t, "operations for operators and the bank", reserved, api.Operations(api.Row.IsReserved))

	if t.Failed() { // New panics for an operation without a row
		return
	}
	routes := map[string]bool{}
	for _, r := range new(fixture).routes() {
		if strings.HasPrefix(r.Path, "/v1/") {
			routes[r.Method+" "+r.Path] = true
		}
	}
	wantSame(t, "operations and routes", all, routes)
}

// TestDocDrawsTheChain compares the drawing in doc.go with the chain.
func TestDocDrawsTheChain(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("doc.go")
	testkit.Must(t, err)
	var drawn []string
	for _, step := range regexp.MustCompile(`(?m)^//\t  │  (\w+)`).FindAllSubmatch(text, -1) {
		drawn = append(drawn, string(step[1]))
	}
	chain := append([]string{"admit"}, newFixture(t).api.Chain()...) // admit is a handler of fasthttp
	if !slices.Equal(drawn, chain) {
		t.Errorf("doc.go draws %v, the chain is %v", drawn, chain)
	}
}

// Fields without omitempty are required by decodeStrictly, so these two must agree.
func TestRequestSchemasForbidMore(t *testing.T) {
	t.Parallel()
	doc, err := openapi3.NewLoader().LoadFromData(kizo.Contract)
	testkit.Must(t, err)
	for _, item := range doc.Paths.Map() {
		for _, op := range item.Operations() {
			if op.RequestBody == nil {
				continue
			}
			for media, content := range op.RequestBody.Value.Content {
				testkit.Equal(t, op.OperationID+" takes", media, "application/json")
				if more := content.Schema.Value.AdditionalProperties.Has; more == nil || *more {
					t.Errorf("%s allows fields beyond its own", op.OperationID)
				}
			}
		}
	}
}

func TestPages(t *testing.T) {
	t.Parallel()
	h := newFixture(t)
	served := h.do(ask{method: "GET", path: "/openapi.yaml"}).want(200)
	if !bytes.Equal(served.body, kizo.Contract) {
		t.Error("/openapi.yaml is not the contract")
	}
	testkit.Equal(t, "contract", served.header.Get("Content-Type"), "application/yaml")
	landing := h.do(ask{method: "GET", path: "/"}).want(200)
	testkit.Equal(t, "landing page", landing.header.Get("Content-Type"), "text/html; charset=utf-8")
	testkit.Equal(t, "version", landing.header.Get("Kizo-Version"), "test")
	keys := h.do(ask{method: "GET", path: "/.well-known/jwks.json"}).want(200)
	if !bytes.Contains(keys.body, []byte(`"kty":"OKP"`)) || bytes.Contains(keys.body, []byte(`"d":`)) {
		t.Errorf("keys: %s", keys.body)
	}
}

func wantSame[K ~string, A, B any](t *testing.T, what string, a map[K]A, b map[K]B) {
	t.Helper()
	var missing, more []K
	for name := range a {
		if _, ok := b[name]; !ok {
			missing = append(missing, name)
		}
	}
	for name := range b {
		if _, ok := a[name]; !ok {
			more = append(more, name)
		}
	}
	slices.Sort(missing)
	slices.Sort(more)
	if len(missing)+len(more) > 0 {
		t.Errorf("%s differ: only in the first %v, only in the second %v", what, missing, more)
	}
}
