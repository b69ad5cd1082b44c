package main

import "testing"

// TestExpectedRefusals: what the database rejects because a process was outdated is no defect; a
// posting that does not balance is one.
func TestExpectedRefusals(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		state, message string
		expected       bool
	}{
		{"55P03", "canceling statement due to lock timeout", true},
		{"23000", "the new postings do not continue those of account 6", true},
		{"23514", `new row for relation "accounts" violates check constraint "accounts_floor"`, true},
		{"23505", `duplicate key value violates unique constraint "transfers_key"`, true},
		{"23505", `duplicate key value violates unique constraint "transfers_pkey"`, false},
		{"23514", `new row for relation "accounts" violates check constraint "accounts_balance_exact"`, false},
		{"23000", "postings of transfer 1 do not balance", false},
	} {
		if got := isExpectedRefusal(tt.state, tt.message); got != tt.expected {
			t.Errorf("%s %s: expected %t", tt.state, tt.message, got)
		}
	}
}
