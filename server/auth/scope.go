package auth

import (
	"fmt"
	"strings"

	"github.com/JDevAman/kizo/server/problem"
)

// Scopes is a set of what an API key may do. A session has no scopes, since it may do everything
// that its user may.
type Scopes uint8

// The scopes. What a route needs is in the table of operations of package api.
const (
	ScopeRead      Scopes = 1 << iota // read the user's wallets, transfers and events
	ScopeTransfers                    // transfer, authorize, capture, void and reverse
	ScopeBank                         // deposit and withdraw
	ScopeOpsRead                      // read what operators see; only for operators
	ScopeOpsWrite                     // act as an operator; only for operators

	AnyScope = ScopeRead | ScopeTransfers | ScopeBank | ScopeOpsRead | ScopeOpsWrite
)

// scopeNames are the names in requests, answers and the table api_keys.
var scopeNames = []struct {
	scope Scopes
	name  string
}{
	{ScopeRead, "read"}, {ScopeTransfers, "transfers:write"}, {ScopeBank, "bank:write"},
	{ScopeOpsRead, "ops:read"}, {ScopeOpsWrite, "ops:write"},
}

// Names returns the names of the scopes, always in the same order.
func (s Scopes) Names() []string {
	var names []string
	for _, named := range scopeNames {
		if s&named.scope != 0 {
			names = append(names, named.name)
		}
	}
	return names
}

// ParseScopes returns the scopes with these names. The error has the code scope_unknown if a name
// is unknown or there is none.
func ParseScopes(names []string) (s Scopes, err error) {
	for _, name := range names {
		one := scopeNamed(name)
		if one == 0 {
			return 0, errScopeUnknown()
		}
		s |= one
	}
	if s == 0 {
		return 0, errScopeUnknown()
	}
	return s, nil
}

func scopeNamed(name string) Scopes {
	for _, named := range scopeNames {
		if named.name == name {
			return named.scope
		}
	}
	return 0
}

func errScopeUnknown() *problem.Error {
	return &problem.Error{
		Code: CodeScopeUnknown, Field: "scopes",
		Message: fmt.Sprintf("name one scope or more of: %s", strings.Join(AnyScope.Names(), ", ")),
	}
}
