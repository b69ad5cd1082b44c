// Package openapi holds the types of Kizo's HTTP API:
//
//	openapi.yaml ─► oapi-codegen ─► openapi        the types: client and server use the same ones
//	                            └─► server/api/internal/routes    the routes, which server/api serves
//
// Each schema of the contract is a type here, and each value of an enum a constant. A field that
// the contract does not require is a pointer, nil where it is absent. Amounts are integers of minor
// units of a currency: 1250 with "USD" is 12.50 USD.
//
// The types are generated; package client is what programs call. The package imports nothing of
// Kizo.
package openapi
