// Package embedded runs PostgreSQL and Redis as child processes, for `kizod dev` and for tests.
//
//	kizod dev ──┬─ flock Dir/lock ─────────── one process per directory
//	            │
//	            ├─ postgres ── unix socket ── Dir/pg.run/.s.PGSQL.5432   (no TCP)
//	            │     └─ Dir/pgdata           survives restarts, fully durable
//	            │
//	            └─ redis-server ─ unix socket ─ Dir/redis.run/redis.sock
//	                  └─ nothing on disk; miniredis if redis-server is not installed
//
// Typical use:
//
//	dir, err := embedded.DefaultDir()
//	pg, err := embedded.StartPostgres(ctx, embedded.PostgresConfig{Dir: dir})
//	defer pg.Stop(context.Background())
//	err = pg.EnsureDatabase(ctx, "kizo")
//	pool, err := pgxpool.New(ctx, pg.URL("kizo", embedded.AppRole))
//
// Tests get a database of their own from the subpackage pgtest, and a Redis of their own from
// redistest.
//
// # A killed parent
//
// On Linux the kernel sends the children a signal when this process dies for any reason: postgres
// does a fast shutdown, redis-server ends. On other systems they keep running as orphans. On every
// system, the next start on the same directory first stops servers that still run there, and
// PostgreSQL recovers by itself.
//
// # Root
//
// PostgreSQL refuses to run as root. If this process runs as root, it starts the children as the
// user postgres, or as an unprivileged user if there is none; an existing cluster keeps its owner.
// That user must be able to enter the directory: see [DefaultDir] and [UnreachableError].
//
// The package imports no other package of Kizo.
package embedded
