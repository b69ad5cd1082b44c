// Package kizo contains openapi.yaml, the contract between kizod and its clients. Routes and types
// are generated from it, and kizod serves it.
package kizo

import _ "embed"

// Contract is openapi.yaml.
//
//go:embed openapi.yaml
var Contract []byte

//go:generate go run github.com/oapi-codegen/oapi-codegen/v2/cmd/oapi-codegen@v2.8.2 -config openapi/oapi-codegen.yaml -o openapi/openapi.gen.go openapi.yaml
//go:generate go run github.com/oapi-codegen/oapi-codegen/v2/cmd/oapi-codegen@v2.8.2 -config server/api/internal/routes/oapi-codegen.yaml -o server/api/internal/routes/routes.gen.go openapi.yaml
