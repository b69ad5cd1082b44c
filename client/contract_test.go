package client

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"regexp"
	"sync"
	"testing"
	"time"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/getkin/kin-openapi/openapi3filter"
	"github.com/getkin/kin-openapi/routers"
	"github.com/google/uuid"

	kizo "github.com/JDevAman/kizo"

	"github.com/JDevAman/kizo/internal/testkit"
)

// everyCall has one call of each method that sends a request, by the name of the method.
func everyCall(t *testing.T) map[string]func(context.Context, *Client) error {
	id := uuid.New()
	return map[string]func(context.Context, *Client) error{
		"About": func(ctx context.Context, k *Client) error { _, err := k.About(ctx); return err },
		"Do": func(ctx context.Context, k *Client) error {
			_, err := k.Do(ctx, Request{Method: http.MethodGet, Path: "/v1/wallets"})
			return err
		},
		"SignUp":        func(ctx context.Context, k *Client) error { _, err := k.SignUp(ctx, SignUp{}); return err },
		"LogIn":         func(ctx context.Context, k *Client) error { _, err := k.LogIn(ctx, "ada", "x", ""); return err },
		"LogOut":        func(ctx context.Context, k *Client) error { return k.LogOut(ctx) },
		"Me":            func(ctx context.Context, k *Client) error { _, err := k.Me(ctx); return err },
		"Rename":        func(ctx context.Context, k *Client) error { _, err := k.Rename(ctx, "Ada"); return err },
		"UpdateProfile": func(ctx context.Context, k *Client) error { _, err := k.UpdateProfile(ctx, UserUpdate{}); return err },
		"Sessions":      func(ctx context.Context, k *Client) error { _, err := k.Sessions(ctx); return err },
		"RevokeSession": func(ctx context.Context, k *Client) error { return k.RevokeSession(ctx, id) },
		"SearchUsers":   func(ctx context.Context, k *Client) error { _, err := k.SearchUsers(ctx, "a"); return err },
		"Send":          func(ctx context.Context, k *Client) error { _, err := k.Send(ctx, someTransfer(t)); return err },
		"Events": func(ctx context.Context, k *Client) error {
			stream, err := k.Events(ctx, EventOptions{})
			if err == nil {
				stream.Close()
			}
			return err
		},
		"SecurityEvents": func(ctx context.Context, k *Client) error {
			_, err := k.SecurityEvents(ctx, 1)
			return err
		},
		"Notices":     func(ctx context.Context, k *Client) error { _, err := k.Notices(ctx, ListNoticesParams{}); return err },
		"ReadNotices": func(ctx context.Context, k *Client) error { _, err := k.ReadNotices(ctx, []int64{1}); return err },
		"Queues":      func(ctx context.Context, k *Client) error { _, err := k.Queues(ctx); return err },
		"PauseQueue":  func(ctx context.Context, k *Client) error { return k.PauseQueue(ctx, "bank", "x") },
		"ResumeQueue": func(ctx context.Context, k *Client) error { return k.ResumeQueue(ctx, "bank", "x") },
		"Tasks": func(ctx context.Context, k *Client) error {
			_, err := k.Tasks(ctx, "bank", OpsListTasksParams{})
			return err
		},
		"ActOnTask": func(ctx context.Context, k *Client) error { return k.ActOnTask(ctx, "bank", "t", "retry", "x") },
		"Payments": func(ctx context.Context, k *Client) error {
			_, err := k.Payments(ctx, OpsListPaymentsParams{})
			return err
		},
		"Payment": func(ctx context.Context, k *Client) error { _, err := k.Payment(ctx, id); return err },
		"ResolvePayment": func(ctx context.Context, k *Client) error {
			_, err := k.ResolvePayment(ctx, id, "ask", "x")
			return err
		},
		"Freeze":           func(ctx context.Context, k *Client) error { return k.Freeze(ctx, "ada", "x") },
		"Unfreeze":         func(ctx context.Context, k *Client) error { return k.Unfreeze(ctx, "ada", "x") },
		"Suspend":          func(ctx context.Context, k *Client) error { return k.Suspend(ctx, "ada", "x") },
		"Reinstate":        func(ctx context.Context, k *Client) error { return k.Reinstate(ctx, "ada", "x") },
		"EndSessions":      func(ctx context.Context, k *Client) error { return k.EndSessions(ctx, "ada", "x") },
		"EndOtherSessions": func(ctx context.Context, k *Client) error { _, err := k.EndOtherSessions(ctx); return err },
		"ChangeHandle": func(ctx context.Context, k *Client) error {
			_, err := k.ChangeHandle(ctx, HandleChange{Handle: "ada", Password: "x"})
			return err
		},
		"Records":          func(ctx context.Context, k *Client) error { _, err := k.Records(ctx, ""); return err },
		"CloseAccount":     func(ctx context.Context, k *Client) error { return k.CloseAccount(ctx, "x", "") },
		"UnfreezeMe":       func(ctx context.Context, k *Client) error { return k.UnfreezeMe(ctx) },
		"FreezeMe":         func(ctx context.Context, k *Client) error { return k.FreezeMe(ctx) },
		"BeginDeviceLogin": func(ctx context.Context, k *Client) error { _, err := k.BeginDeviceLogin(ctx); return err },
		"AwaitDeviceLogin": func(ctx context.Context, k *Client) error {
			_, err := k.AwaitDeviceLogin(ctx, DeviceLogin{DeviceCode: "x"})
			return err
		},
		"FindDeviceLogin": func(ctx context.Context, k *Client) error { _, err := k.FindDeviceLogin(ctx, "x"); return err },
		"ApproveDeviceLogin": func(ctx context.Context, k *Client) error {
			return k.ApproveDeviceLogin(ctx, DeviceRequest{Id: id}, "x", "")
		},
		"DenyDeviceLogin": func(ctx context.Context, k *Client) error {
			return k.DenyDeviceLogin(ctx, DeviceRequest{Id: id}, "x")
		},
		"SecondFactor":          func(ctx context.Context, k *Client) error { _, err := k.SecondFactor(ctx); return err },
		"AddSecondFactor":       func(ctx context.Context, k *Client) error { _, err := k.AddSecondFactor(ctx, "x"); return err },
		"ConfirmSecondFactor":   func(ctx context.Context, k *Client) error { _, err := k.ConfirmSecondFactor(ctx, "1"); return err },
		"RemoveSecondFactor":    func(ctx context.Context, k *Client) error { return k.RemoveSecondFactor(ctx, "x", "1") },
		"StepUp":                func(ctx context.Context, k *Client) error { _, err := k.StepUp(ctx, "1"); return err },
		"StepUpStatus":          func(ctx context.Context, k *Client) error { _, err := k.StepUpStatus(ctx); return err },
		"SetStepUpThreshold":    func(ctx context.Context, k *Client) error { _, err := k.SetStepUpThreshold(ctx, "USD", 1); return err },
		"RemoveStepUpThreshold": func(ctx context.Context, k *Client) error { _, err := k.RemoveStepUpThreshold(ctx, "USD"); return err },
		"RenewRecoveryCodes":    func(ctx context.Context, k *Client) error { _, err := k.RenewRecoveryCodes(ctx, "x", "1"); return err },
		"MailEmailCode":         func(ctx context.Context, k *Client) error { return k.MailEmailCode(ctx) },
		"ChangeEmail": func(ctx context.Context, k *Client) error {
			return k.ChangeEmail(ctx, EmailChange{Email: "x", Password: "y"})
		},
		"ConfirmEmail":  func(ctx context.Context, k *Client) error { _, err := k.ConfirmEmail(ctx, "x"); return err },
		"MailResetCode": func(ctx context.Context, k *Client) error { return k.MailResetCode(ctx, "x") },
		"ResetPassword": func(ctx context.Context, k *Client) error {
			return k.ResetPassword(ctx, PasswordReset{Login: "x", Code: "x", NewPassword: "y"})
		},
		"ChangePassword": func(ctx context.Context, k *Client) error {
			_, err := k.ChangePassword(ctx, PasswordChange{CurrentPassword: "x", NewPassword: "y"})
			return err
		},
		"APIKeys": func(ctx context.Context, k *Client) error { _, err := k.APIKeys(ctx); return err },
		"CreateAPIKey": func(ctx context.Context, k *Client) error {
			_, err := k.CreateAPIKey(ctx, APIKeyCreate{Name: "x", Scopes: []string{"read"}, Password: "x"})
			return err
		},
		"RotateAPIKey": func(ctx context.Context, k *Client) error {
			_, err := k.RotateAPIKey(ctx, id, APIKeyRotate{Password: "x"})
			return err
		},
		"RevokeAPIKey":    func(ctx context.Context, k *Client) error { return k.RevokeAPIKey(ctx, id) },
		"APIKeysOf":       func(ctx context.Context, k *Client) error { _, err := k.APIKeysOf(ctx, "ada"); return err },
		"RevokeAPIKeysOf": func(ctx context.Context, k *Client) error { return k.RevokeAPIKeysOf(ctx, "ada", "x") },
		"Limits":          func(ctx context.Context, k *Client) error { _, err := k.Limits(ctx); return err },
		"SetLimit":        func(ctx context.Context, k *Client) error { _, err := k.SetLimit(ctx, "USD", LimitSet{}); return err },
		"RemoveLimit":     func(ctx context.Context, k *Client) error { _, err := k.RemoveLimit(ctx, "USD"); return err },
		"UserOf":          func(ctx context.Context, k *Client) error { _, err := k.UserOf(ctx, "ada"); return err },
		"LimitsOf":        func(ctx context.Context, k *Client) error { _, err := k.LimitsOf(ctx, "ada"); return err },
		"Reconcile":       func(ctx context.Context, k *Client) error { _, err := k.Reconcile(ctx); return err },
		"Audit":           func(ctx context.Context, k *Client) error { _, err := k.Audit(ctx, true); return err },
		"History":         func(ctx context.Context, k *Client) error { _, err := k.History(ctx, "minute"); return err },
		"Approvals":       func(ctx context.Context, k *Client) error { _, err := k.Approvals(ctx, 1); return err },
		"Approve":         func(ctx context.Context, k *Client) error { _, err := k.Approve(ctx, id, "x"); return err },
		"RejectApproval":  func(ctx context.Context, k *Client) error { _, err := k.RejectApproval(ctx, id, "x"); return err },
		"Actions":         func(ctx context.Context, k *Client) error { _, err := k.Actions(ctx, 1); return err },
		"Explain":         func(ctx context.Context, k *Client) error { _, err := k.Explain(ctx, id); return err },
		"Wallets":         func(ctx context.Context, k *Client) error { _, err := k.Wallets(ctx); return err },
		"OpenWallet":      func(ctx context.Context, k *Client) error { _, err := k.OpenWallet(ctx, "USD"); return err },
		"Balance":         func(ctx context.Context, k *Client) error { _, err := k.Balance(ctx, "USD", time.Time{}); return err },
		"Statement": func(ctx context.Context, k *Client) error {
			_, err := k.Statement(ctx, "USD", "2026-11", StatementQuery{Limit: MaxStatementPage, Cursor: "x", Totals: MaxStatementTotals})
			return err
		},
		"Triggers": func(ctx context.Context, k *Client) error { _, err := k.Triggers(ctx); return err },
		"ArmTrigger": func(ctx context.Context, k *Client) error {
			return k.ArmTrigger(ctx, TriggerArm{Event: "deposit.rejected", Amount: 1, Currency: "USD"})
		},
		"Transfers": func(ctx context.Context, k *Client) error {
			_, err := k.Transfers(ctx, ListTransfersParams{})
			return err
		},
		"Transfer": func(ctx context.Context, k *Client) error { _, err := k.Transfer(ctx, id); return err },
		"Summary":  func(ctx context.Context, k *Client) error { _, err := k.Summary(ctx, time.Now()); return err },
		"SendBatch": func(ctx context.Context, k *Client) error {
			_, err := k.SendBatch(ctx, TransferBatch{Transfers: []BatchTransfer{{IdempotencyKey: "key", To: "@bob", Amount: 1, Currency: "USD"}}})
			return err
		},
		"LookUpPayees": func(ctx context.Context, k *Client) error {
			_, err := k.LookUpPayees(ctx, PayeeLookup{Currency: "USD", Payees: []string{"@bob"}})
			return err
		},
		"Preview": func(ctx context.Context, k *Client) error { _, err := k.Preview(ctx, TransferCreate{}); return err },
	}
}

// everyCommand has one Command of each kind.
func everyCommand(t *testing.T) []Command {
	t.Helper()
	id, part := uuid.New(), int64(50)
	commands := make([]Command, 0, 6)
	add := func(command Command, err error) {
		testkit.Must(t, err)
		commands = append(commands, command)
	}
	expires := time.Date(2026, 3, 2, 12, 0, 0, 0, time.UTC)
	add(NewTransfer(NewKey(), TransferCreate{To: "@bob", Amount: 1250, Currency: "USD", ExpiresAt: &expires}))
	add(NewDeposit(NewKey(), BankTransferCreate{Amount: 1250, Currency: "USD"}))
	add(NewWithdrawal(NewKey(), BankTransferCreate{Amount: 1250, Currency: "USD"}))
	add(NewCapture(NewKey(), id, &part))
	add(NewVoid(NewKey(), id))
	add(NewReverse(NewKey(), id, nil))
	return commands
}

// TestRequestsFollowTheContract validates the request of each method and of each Command against
// openapi.yaml, and checks that they cover all of its operations.
func TestRequestsFollowTheContract(t *testing.T) {
	contract, err := openapi3.NewLoader().LoadFromData(kizo.Contract)
	testkit.Must(t, err)
	var mu sync.Mutex
	called := map[string]bool{"bankCallback": true} // the bank calls it
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		called[checkRequest(t, contract, r)] = true
		w.WriteHeader(http.StatusTeapot)
	}))
	defer s.Close()
	c, _ := dial(t, s.URL, StaticToken("token"))
	for name, call := range everyCall(t) {
		if name == "About" {
			continue // the page for browsers is not in the contract
		}
		_ = call(t.Context(), c)
	}
	for _, command := range everyCommand(t) {
		_, _ = c.Send(t.Context(), command)
	}
	store := new(memoryTokens) // which StaticToken is not: log-in and refresh replace its tokens
	c, _ = dial(t, s.URL, store)
	_, _ = c.LogIn(t.Context(), "ada", "password", "")
	_, _ = c.SignUp(t.Context(), SignUp{})
	_, _ = c.BeginDeviceLogin(t.Context())
	store.held = Credentials{AccessToken: "old", RefreshToken: "refresh"}
	_, _ = c.Me(t.Context())
	for path, item := range contract.Paths.Map() {
		for method, op := range item.Operations() {
			if !called[op.OperationID] {
				t.Errorf("no method of Client sends %s %s (%s)", method, path, op.OperationID)
			}
		}
	}
}

var pathParameter = regexp.MustCompile(`\{\w+\}`)

// checkRequest validates a request and returns the id of its operation. A query parameter that the
// contract does not have is an error.
func checkRequest(t *testing.T, contract *openapi3.T, r *http.Request) string {
	t.Helper()
	item, template := contract.Paths.Value(r.URL.Path), r.URL.Path
	for path, candidate := range contract.Paths.Map() {
		pattern := regexp.MustCompile("^" + pathParameter.ReplaceAllString(path, `[^/]+`) + "$")
		if item == nil && pattern.MatchString(r.URL.Path) {
			item, template = candidate, path
		}
	}
	if item == nil || item.GetOperation(r.Method) == nil {
		t.Errorf("%s %s is not an operation of the contract", r.Method, r.URL.Path)
		return ""
	}
	op := item.GetOperation(r.Method)
	for name := range r.URL.Query() {
		if op.Parameters.GetByInAndName("query", name) == nil {
			t.Errorf("%s has no query parameter %q", op.OperationID, name)
		}
	}
	body, _ := io.ReadAll(r.Body)
	r.Body = io.NopCloser(bytes.NewReader(body))
	if op.RequestBody == nil && len(body) > 0 {
		t.Errorf("%s takes no body, %s was sent", op.OperationID, body)
	}
	values := make(map[string]string)
	for i, name := range pathParameter.FindAllString(template, -1) {
		pattern := regexp.MustCompile("^" + pathParameter.ReplaceAllString(template, `([^/]+)`) + "$")
		values[name[1:len(name)-1]] = pattern.FindStringSubmatch(r.URL.Path)[i+1]
	}
	err := openapi3filter.ValidateRequest(r.Context(), &openapi3filter.RequestValidationInput{
		Request: r, PathParams: values,
		Route:   &routers.Route{Spec: contract, Path: template, PathItem: item, Method: r.Method, Operation: op},
		Options: &openapi3filter.Options{AuthenticationFunc: openapi3filter.NoopAuthenticationFunc},
	})
	if err != nil {
		t.Errorf("%s: %v", op.OperationID, err)
	}
	return op.OperationID
}
