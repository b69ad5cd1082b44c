package api

import (
	"github.com/gofiber/fiber/v2"

	"github.com/JDevAman/kizo/openapi"
	"github.com/JDevAman/kizo/server/auth"
)

// operation says what the API enforces for one operation of the contract before its handler runs.
// The zero value is an operation for users that takes no body and moves no money.
type operation struct {
	access access

	// body returns a pointer to a zero value of the type that the body has; nil if there is no
	// body.
	body func() any

	// scopes are those of which an API key needs one. Without scopes, the operation is for sessions
	// only: a new operation is closed to keys until its row says otherwise.
	scopes auth.Scopes

	// stepUp says for what a user with a second factor needs a recent one in the session: a new
	// operation states it here. Each operation of operators that changes something needs one.
	stepUp stepUp

	movesMoney     bool // needs an Idempotency-Key
	hashesPassword bool // waits in the hash queue, and is served by processes with the role auth
}

// access says who may call an operation and how the caller is rate limited.
type access int

const (
	forUsers     access = iota // with an access token or an API key; limited by user
	forOperators               // with an access token or an API key of an operator; limited by user
	forAnonymous               // without a token; limited by address
	forTheBank                 // with a signature of the body; limited by address if it is wrong
)

// needsToken reports whether a caller must send an access token or an API key.
func (a access) needsToken() bool { return a == forUsers || a == forOperators }

// bodyOf returns a pointer to a zero T, into which a body is decoded.
func bodyOf[T any]() any { return new(T) }

// operations has a row for each operation of the contract, by method and path. A new route is an
// operation in openapi.yaml, a row here and a handler; New panics for a route without a row.
var operations = map[string]operation{
	"POST /v1/auth/signup":                       {access: forAnonymous, body: bodyOf[openapi.SignUp], hashesPassword: true},
	"POST /v1/auth/login":                        {access: forAnonymous, body: bodyOf[openapi.LogIn], hashesPassword: true},
	"POST /v1/auth/device":                       {access: forAnonymous},
	"POST /v1/auth/device/token":                 {access: forAnonymous, body: bodyOf[openapi.DeviceToken]},
	"POST /v1/auth/device/find":                  {body: bodyOf[openapi.UserCode]},
	"POST /v1/auth/device/approve":               {body: bodyOf[openapi.DeviceApproval]},
	"POST /v1/auth/device/deny":                  {body: bodyOf[openapi.DeviceDenial]},
	"POST /v1/auth/refresh":                      {access: forAnonymous, body: bodyOf[openapi.Refresh]},
	"POST /v1/auth/logout":                       {},
	"POST /v1/auth/password":                     {body: bodyOf[openapi.PasswordChange], hashesPassword: true, stepUp: stepUpOrCode},
	"POST /v1/auth/password/reset":               {access: forAnonymous, body: bodyOf[openapi.PasswordReset], hashesPassword: true},
	"POST /v1/auth/password/reset/mail":          {access: forAnonymous, body: bodyOf[openapi.ResetCodeRequest]},
	"POST /v1/auth/email":                        {body: bodyOf[openapi.EmailChange], hashesPassword: true, stepUp: stepUpOrCode},
	"POST /v1/auth/email/code":                   {},
	"POST /v1/auth/email/confirm":                {body: bodyOf[openapi.EmailConfirm]},
	"GET /v1/auth/second-factor":                 {},
	"POST /v1/auth/second-factor":                {body: bodyOf[openapi.SecondFactorAdd], hashesPassword: true},
	"POST /v1/auth/second-factor/confirm":        {body: bodyOf[openapi.SecondFactorConfirm]},
	"POST /v1/auth/second-factor/remove":         {body: bodyOf[openapi.SecondFactorRemove], hashesPassword: true, stepUp: stepUpOrCode},
	"POST /v1/auth/second-factor/recovery-codes": {body: bodyOf[openapi.RecoveryCodesRenew], hashesPassword: true, stepUp: stepUpOrCode},
	"GET /v1/auth/step-up":                       {},
	"POST /v1/auth/step-up":                      {body: bodyOf[openapi.StepUp]},
	"PUT /v1/auth/step-up/:currency":             {body: bodyOf[openapi.StepUpThresholdSet], stepUp: stepUpToRaise},
	"DELETE /v1/auth/step-up/:currency":          {stepUp: stepUpToRaise},
	"GET /v1/auth/keys":                          {},
	"POST /v1/auth/keys":                         {body: bodyOf[openapi.ApiKeyCreate], hashesPassword: true, stepUp: stepUpOrCode},
	"DELETE /v1/auth/keys/:id":                   {},
	"POST /v1/auth/keys/:id/rotate":              {body: bodyOf[openapi.ApiKeyRotate], hashesPassword: true, stepUp: stepUpOrCode},
	"GET /v1/me":                                 {scopes: auth.AnyScope},
	"PATCH /v1/me":                               {body: bodyOf[openapi.UserUpdate]},
	"POST /v1/me/handle":                         {body: bodyOf[openapi.HandleChange], hashesPassword: true, stepUp: stepUpOrCode},
	"POST /v1/me/export":                         {body: bodyOf[openapi.RecordsQuery], stepUp: stepUpAlways},
	"POST /v1/me/close":                          {body: bodyOf[openapi.AccountClose], hashesPassword: true, stepUp: stepUpOrCode},
	"POST /v1/me/freeze":                         {},
	"POST /v1/me/unfreeze":                       {stepUp: stepUpAlways},
	"GET /v1/sessions":                           {},
	"POST /v1/sessions/end-others":               {},
	"GET /v1/sessions/history":                   {},
	"DELETE /v1/sessions/:id":                    {},
	"GET /v1/notices":                            {},
	"POST /v1/notices/read":                      {body: bodyOf[openapi.NoticesRead]},
	"GET /v1/users":                              {scopes: auth.ScopeRead},
	"POST /v1/payees/lookup":                     {scopes: auth.ScopeRead | auth.ScopeTransfers, body: bodyOf[openapi.PayeeLookup]},

	"GET /v1/wallets":                             {scopes: auth.ScopeRead},
	"POST /v1/wallets":                            {scopes: auth.ScopeTransfers | auth.ScopeBank, body: bodyOf[openapi.WalletOpen]},
	"GET /v1/wallets/:currency/balance":           {scopes: auth.ScopeRead},
	"GET /v1/wallets/:currency/statements/:month": {scopes: auth.ScopeRead},
	"GET /v1/summary":                             {scopes: auth.ScopeRead},
	"GET /v1/events":                              {scopes: auth.ScopeRead},
	"GET /v1/limits":                              {scopes: auth.ScopeRead | auth.ScopeTransfers | auth.ScopeBank},
	"PUT /v1/limits/:currency":                    {body: bodyOf[openapi.LimitSet], stepUp: stepUpToRaise},
	"DELETE /v1/limits/:currency":                 {stepUp: stepUpToRaise},

	"GET /v1/transfers":              {scopes: auth.ScopeRead},
	"POST /v1/transfers":             {scopes: auth.ScopeTransfers, body: bodyOf[openapi.TransferCreate], movesMoney: true, stepUp: stepUpToSpend},
	"POST /v1/transfers/batch":       {scopes: auth.ScopeTransfers, body: bodyOf[openapi.TransferBatch], stepUp: stepUpToSpend},
	"GET /v1/transfers/:id":          {scopes: auth.ScopeRead},
	"GET /v1/transfers/:id/timeline": {scopes: auth.ScopeRead},
	"POST /v1/transfers/:id/capture": {scopes: auth.ScopeTransfers, body: bodyOf[openapi.PartAmount], movesMoney: true},
	"POST /v1/transfers/:id/void":    {scopes: auth.ScopeTransfers, movesMoney: true},
	"POST /v1/transfers/:id/reverse": {scopes: auth.ScopeTransfers, body: bodyOf[openapi.PartAmount], movesMoney: true},
	"POST /v1/deposits":              {scopes: auth.ScopeBank, body: bodyOf[openapi.BankTransferCreate], movesMoney: true},
	"POST /v1/withdrawals":           {scopes: auth.ScopeBank, body: bodyOf[openapi.BankTransferCreate], movesMoney: true, stepUp: stepUpToSpend},

	"GET /v1/dev/triggers":  {scopes: auth.ScopeRead | auth.ScopeBank},
	"POST /v1/dev/triggers": {scopes: auth.ScopeBank, body: bodyOf[openapi.TriggerArm]},

	"POST /v1/bank/callbacks": {access: forTheBank},

	"GET /v1/ops/queues":                             {access: forOperators, scopes: auth.ScopeOpsRead},
	"POST /v1/ops/queues/:queue/pause":               {access: forOperators, scopes: auth.ScopeOpsWrite, body: bodyOf[openapi.Reason], stepUp: stepUpAlways},
	"POST /v1/ops/queues/:queue/resume":              {access: forOperators, scopes: auth.ScopeOpsWrite, body: bodyOf[openapi.Reason], stepUp: stepUpAlways},
	"GET /v1/ops/queues/:queue/tasks":                {access: forOperators, scopes: auth.ScopeOpsRead},
	"POST /v1/ops/queues/:queue/tasks/:task/:action": {access: forOperators, scopes: auth.ScopeOpsWrite, body: bodyOf[openapi.Reason], stepUp: stepUpAlways},
	"GET /v1/ops/payments":                           {access: forOperators, scopes: auth.ScopeOpsRead},
	"GET /v1/ops/payments/:id":                       {access: forOperators, scopes: auth.ScopeOpsRead},
	"POST /v1/ops/payments/:id/resolve":              {access: forOperators, scopes: auth.ScopeOpsWrite, body: bodyOf[openapi.PaymentResolve], stepUp: stepUpAlways},
	"POST /v1/ops/users/:login/freeze":               {access: forOperators, scopes: auth.ScopeOpsWrite, body: bodyOf[openapi.Reason], stepUp: stepUpAlways},
	"POST /v1/ops/users/:login/unfreeze":             {access: forOperators, scopes: auth.ScopeOpsWrite, body: bodyOf[openapi.Reason], stepUp: stepUpAlways},
	"POST /v1/ops/users/:login/suspend":              {access: forOperators, body: bodyOf[openapi.Reason], stepUp: stepUpAlways},
	"POST /v1/ops/users/:login/reinstate":            {access: forOperators, body: bodyOf[openapi.Reason], stepUp: stepUpAlways},
	"POST /v1/ops/users/:login/end-sessions":         {access: forOperators, body: bodyOf[openapi.Reason], stepUp: stepUpAlways},
	"GET /v1/ops/users/:login":                       {access: forOperators, scopes: auth.ScopeOpsRead},
	"GET /v1/ops/users/:login/limits":                {access: forOperators, scopes: auth.ScopeOpsRead},
	"GET /v1/ops/users/:login/keys":                  {access: forOperators, scopes: auth.ScopeOpsRead},
	"POST /v1/ops/users/:login/revoke-keys":          {access: forOperators, scopes: auth.ScopeOpsWrite, body: bodyOf[openapi.Reason], stepUp: stepUpAlways},
	"POST /v1/ops/reconcile":                         {access: forOperators, scopes: auth.ScopeOpsWrite},
	"POST /v1/ops/audit":                             {access: forOperators, scopes: auth.ScopeOpsRead},
	"GET /v1/ops/history":                            {access: forOperators, scopes: auth.ScopeOpsRead},
	"GET /v1/ops/approvals":                          {access: forOperators, scopes: auth.ScopeOpsRead},
	"POST /v1/ops/approvals/:id/approve":             {access: forOperators, body: bodyOf[openapi.Reason], stepUp: stepUpAlways},
	"POST /v1/ops/approvals/:id/reject":              {access: forOperators, body: bodyOf[openapi.Reason], stepUp: stepUpAlways},
	"GET /v1/ops/actions":                            {access: forOperators, scopes: auth.ScopeOpsRead},
}

const operationLocal = "operation"

// operationOf returns the row of the operation that a request calls. Outside the routes of the
// contract it is the zero value.
func operationOf(c *fiber.Ctx) operation {
	if op, ok := c.Locals(operationLocal).(*operation); ok {
		return *op
	}
	return operation{}
}
