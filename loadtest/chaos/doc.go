// Command chaos runs Kizo while everything under it dies, and then compares what
// it answered its clients with its tables and with the bank's journal.
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
//	nemesis (a seed decides all of it):
//	  kizod       kill -9, SIGSTOP … SIGCONT, SIGTERM, dying at a named point
//	  PostgreSQL  immediate crash and restart
//	  Redis       kill, away for seconds, FLUSHALL
//	  bank        kill -9 and restart on its journal; hangs, 5xx, answers cut off
//	  proxy       every connection cut, COMMITs cut before and after they arrive, stalls
//
// A run has five parts: start; faults in waves, with a calm between two of them;
// heal, which brings everything up and makes the bank calm; resolve, where each
// outcome that is unknown is asked for again with its key until it is known; and
// the audit. See check*.go for what it holds to be true; each rule is one function.
//
// Everything is a child of this process, is ended by its handle, and dies with it.
// PostgreSQL is as durable as `kizod dev` makes it. The seed decides what the
// nemesis does and when and what the clients want; how the processes interleave is
// the machine's affair, so that a seed repeats the run and not each race in it.
//
// With -scenarios there is one kind of fault at a time, and one promise about it:
// the bank at its worst, no Redis, FLUSHALL, a stopped worker that goes on, restarts.
//
// With -mutants the checks themselves are checked: the patches in mutants plant one bug each
// in a copy of the source, and the unit test or the rule of the fault run that a patch names
// has to notice it.
package main
