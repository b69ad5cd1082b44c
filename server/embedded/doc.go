// Package embedded runs PostgreSQL and Redis as children of this process, for
// `kizod dev` and for tests.
//
//	kizod dev ──┬─ flock Dir/lock ─────────── one user of a directory at a time
//	            │
//	            ├─ postgres ── unix socket ── Dir/pg.run/.s.PGSQL.5432   (no TCP)
//	            │     └─ Dir/pgdata           survives restarts, fully durable
//	            │
//	            └─ redis-server ─ unix socket ─ Dir/redis.run/redis.sock
//	                  └─ nothing on disk; miniredis where none is installed
//
// What most people need:
//
//	dir, err := embedded.DefaultDir()
//	pg, err := embedded.StartPostgres(ctx, embedded.PostgresConfig{Dir: dir})
//	defer pg.Stop(context.Background())
//	err = pg.EnsureDatabase(ctx, "kizo")
//	pool, err := pgxpool.New(ctx, pg.URL("kizo", embedded.AppRole))
//
// Tests take a database of their own from the sub-package pgtest, and a Redis
// of their own from redistest.
//
// # A killed parent
//
// On Linux the children get a signal when this process dies, however it dies:
// postgres shuts down fast, redis-server ends. Elsewhere they live on as
// orphans. Either way the next start on the same directory first stops what
// still runs there, and PostgreSQL recovers by itself.
//
// # Root
//
// PostgreSQL refuses to run as root. Started as root, this package runs the
// children as the user postgres, or nobody where there is none; an existing
// cluster keeps the owner that it has. That user has to be able to walk to the
// directory: see [DefaultDir] and [UnreachableError].
//
// The package knows nothing of the rest of Kizo.
package embedded
