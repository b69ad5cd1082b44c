// Command chaos injects faults into a running Kizo and everything below it, and then compares
// the answers that clients got with the tables and with the bank's journal.
//
//	            invoke, ok, refused, failed, unknown
//	clients ─────────────────────────────► history ───────────┐
//	   │ HTTP                                                 │
//	   ▼                                                      ▼
//	kizod api ×2      kizod worker ×2     kizod janitor ×2   checker ─► summary
//	   │  │             │   │     │         │     │           ▲ ▲
//	   │  └─── Redis ───┘   │     └── bank ─┼─────┘           │ │
//	   └──────── proxy ─────┴───────────────┘  └─► journal ───┘ │
//	               └─► PostgreSQL ──────────────────────────────┘
//
//	fault injector (its schedule follows from the seed):
//	  kizod       kill -9, SIGSTOP … SIGCONT, SIGTERM, death at a failpoint
//	  PostgreSQL  crash and restart
//	  Redis       kill, absence for seconds, FLUSHALL
//	  bank        kill -9 and restart on its journal; hangs, 5xx, answers cut off
//	  proxy       all connections cut, COMMITs cut before and after they arrive, stalls
//
// # Overview
//
// A run has five parts:
//
//   - start: every process is started, users sign up, most get money;
//   - faults: in waves, with a calm phase after each;
//   - heal: every fault ends, and the bank answers correctly;
//   - resolve: each operation with an unknown outcome is repeated with its key until its outcome
//     is known;
//   - audit: the rules in check*.go, each of which is one function.
//
// Every process is a child of this one and ends with it. PostgreSQL is as durable as `kizod dev`
// makes it. The seed determines the schedule of the faults and the operations of the clients. It
// does not determine how the processes interleave, so a seed repeats a run, but not each race in
// it.
//
// With -scenarios, each run has one kind of fault and one promise about it: a bank that
// misbehaves, no Redis, FLUSHALL, a stopped worker that continues, rolling restarts.
//
// With -mutants, the checks are checked: each patch in mutants plants one bug in a copy of the
// source, and the test or the rule of the fault run that the patch names has to notice it.
package main
