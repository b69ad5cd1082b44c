// Package openapi contains the types of Kizo's HTTP API:
//
//	openapi.yaml ─► oapi-codegen ─► openapi          types of client and server
//	                            └─► server/api/internal/routes     served by api
//
// Each schema of the contract is a type here, and each value of an enum is a constant. A field that
// the contract does not require is a pointer, which is nil if the field is absent. Amounts are
// integers of minor units of a currency: 1250 with "USD" is 12.50 USD.
//
// The types are generated. Programs use them through package client. The package imports nothing of
// Kizo.
package openapi
