// Package monitoring measures a running kizod: its metrics, its health, and the state of what
// it depends on.
//
//	/metrics ◄── Registry ◄─ collectors ◄─ ledger, pool, Dependencies, Database, AuditStatus
//	/readyz  ◄── Readiness ◄────────────── Database, RestoredCheck
//	server/ops ◄┬ Snapshots ◄───────────── histograms of requests, commits, settlement;
//	            └ History ◄───────────────  Dependencies (PostgreSQL, Redis)
//
// A metric is defined beside what it measures; this package defines those that are collected
// on demand, and registers all. Values that come from PostgreSQL or Redis are read through a
// cachedProbe, so that a scrape or a snapshot never waits for a dependency that hangs. A value
// that could not be read is absent, and is never reported as 0.
//
// The package reads the ledger and settlement and changes neither. It does not know the API,
// the OpenAPI contract, users, the bank or the settings.
package monitoring
