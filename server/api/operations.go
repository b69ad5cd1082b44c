package api

import (
	"github.com/gofiber/fiber/v2"

	"github.com/JDevAman/kizo/openapi"
)

// operation says what the API enforces for one operation of the contract before its handler runs.
// The zero value is an operation for users that takes no body and moves no money.
type operation struct {
	access access

	// body returns a pointer to a zero value of the type that the body has; nil if there is no
	// body.
	body func() any

	movesMoney     bool // needs an Idempotency-Key
	hashesPassword bool // waits in the hash queue, and is served by processes with the role auth
}

// access says who may call an operation and how the caller is rate limited.
type access int

const (
	forUsers     access = iota // with an access token; limited by user
	forOperators               // with an access token of an operator; limited by user
	forAnonymous               // without a token; limited by address
	forTheBank                 // with a signature of the body; limited by address if it is wrong
)

// needsToken reports whether a caller must send an access token.
func (a access) needsToken() bool { return a == forUsers || a == forOperators }

// bodyOf returns a pointer to a zero T, into which a body is decoded.
func bodyOf[T any]() any { return new(T) }

// operations has a row for each operation of the contract, by method and path. A new route is an
// operation in openapi.yaml, a row here and a handler; New panics for a route without a row.
var operations = map[string]operation{
	"POST /v1/auth/signup":     {access: forAnonymous, body: bodyOf[openapi.SignUp], hashesPassword: true},
	"POST /v1/auth/login":      {access: forAnonymous, body: bodyOf[openapi.LogIn], hashesPassword: true},
	"POST /v1/auth/refresh":    {access: forAnonymous, body: bodyOf[openapi.Refresh]},
	"POST /v1/auth/logout":     {},
	"GET /v1/me":               {},
	"PATCH /v1/me":             {body: bodyOf[openapi.UserUpdate]},
	"GET /v1/sessions":         {},
	"GET /v1/sessions/history": {},
	"DELETE /v1/sessions/:id":  {},
	"GET /v1/users":            {},
	"POST /v1/payees/lookup":   {body: bodyOf[openapi.PayeeLookup]},

	"GET /v1/wallets":                   {},
	"POST /v1/wallets":                  {body: bodyOf[openapi.WalletOpen]},
	"GET /v1/wallets/:currency/balance": {},
	"GET /v1/summary":                   {},
	"GET /v1/events":                    {},

	"GET /v1/transfers":              {},
	"POST /v1/transfers":             {body: bodyOf[openapi.TransferCreate], movesMoney: true},
	"POST /v1/transfers/batch":       {body: bodyOf[openapi.TransferBatch]},
	"GET /v1/transfers/:id":          {},
	"GET /v1/transfers/:id/timeline": {},
	"POST /v1/transfers/:id/capture": {body: bodyOf[openapi.PartAmount], movesMoney: true},
	"POST /v1/transfers/:id/void":    {movesMoney: true},
	"POST /v1/transfers/:id/reverse": {body: bodyOf[openapi.PartAmount], movesMoney: true},
	"POST /v1/deposits":              {body: bodyOf[openapi.BankTransferCreate], movesMoney: true},
	"POST /v1/withdrawals":           {body: bodyOf[openapi.BankTransferCreate], movesMoney: true},

	"POST /v1/bank/callbacks": {access: forTheBank},

	"GET /v1/ops/queues":                             {access: forOperators},
	"POST /v1/ops/queues/:queue/pause":               {access: forOperators, body: bodyOf[openapi.Reason]},
	"POST /v1/ops/queues/:queue/resume":              {access: forOperators, body: bodyOf[openapi.Reason]},
	"GET /v1/ops/queues/:queue/tasks":                {access: forOperators},
	"POST /v1/ops/queues/:queue/tasks/:task/:action": {access: forOperators, body: bodyOf[openapi.Reason]},
	"GET /v1/ops/payments":                           {access: forOperators},
	"GET /v1/ops/payments/:id":                       {access: forOperators},
	"POST /v1/ops/payments/:id/resolve":              {access: forOperators, body: bodyOf[openapi.PaymentResolve]},
	"POST /v1/ops/users/:login/freeze":               {access: forOperators, body: bodyOf[openapi.Reason]},
	"POST /v1/ops/users/:login/unfreeze":             {access: forOperators, body: bodyOf[openapi.Reason]},
	"POST /v1/ops/users/:login/suspend":              {access: forOperators, body: bodyOf[openapi.Reason]},
	"POST /v1/ops/users/:login/reinstate":            {access: forOperators, body: bodyOf[openapi.Reason]},
	"POST /v1/ops/users/:login/end-sessions":         {access: forOperators, body: bodyOf[openapi.Reason]},
	"POST /v1/ops/reconcile":                         {access: forOperators},
	"POST /v1/ops/audit":                             {access: forOperators},
	"GET /v1/ops/actions":                            {access: forOperators},
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
