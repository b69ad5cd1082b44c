package model

import (
	"math"
	"math/rand/v2"
	"slices"
	"time"
)

// simulation is the network of a machine.
type simulation struct {
	engine
	costs   Costs
	machine Machine
	random  *rand.Rand

	generator *process
	kizods    []*kizod
	postgres  *process // one thread for each batch
	network   *process
	disk      *process // one fsync at a time
	hosts     []*pool
	locks     map[int]*lock // by account

	usedByOthers map[*pool]float64 // CPU time in seconds

	began    float64
	done     int
	took     []float64 // seconds
	batches  int
	commands int
	busy     float64 // seconds of committers with a batch
	waited   float64 // of these, for locks
}

// kizod is a process with its command queue.
type kizod struct {
	*process
	waiting   []*command
	unscanned int // commands queued since the last unsuccessful look at them
	idle      int // committers without a batch

	inFlight   int // batches
	inCommands int // commands in those
	accounts   map[int]bool
}

type command struct {
	from, to int
	answer   func()
}

type batch struct {
	kizod    *kizod
	commands []*command
	accounts []int // sorted
	locked   int   // of them
	began    float64
	waiting  float64 // since when, for a lock
}

type lock struct {
	holder  *batch
	waiting []*batch
}

func newSimulation(c Costs, m Machine) *simulation {
	s := &simulation{costs: c, machine: m, random: rand.New(rand.NewPCG(1, 2)), locks: make(map[int]*lock), usedByOthers: make(map[*pool]float64)} //nolint:gosec // a simulation
	for _, cores := range m.Cores {
		s.hosts = append(s.hosts, s.newPool(float64(cores)))
	}
	elsewhere := s.newPool(math.Inf(1))
	newProcess := func(p *pool, threads int) *process { return &process{engine: &s.engine, pool: p, threads: threads} }
	const unlimited = math.MaxInt
	s.generator = newProcess(s.hosts[m.Generator], m.Cores[m.Generator])
	if m.OwnGenerator {
		s.generator = newProcess(elsewhere, unlimited)
	}
	s.postgres = newProcess(s.hosts[m.Postgres], unlimited)
	s.network, s.disk = newProcess(elsewhere, unlimited), newProcess(elsewhere, 1)
	for range m.Kizods {
		s.kizods = append(s.kizods, &kizod{
			process: newProcess(s.hosts[m.Kizod], m.Cores[m.Kizod]), idle: m.Committers, accounts: make(map[int]bool),
		})
	}
	for i, host := range s.hosts {
		if m.Others > 0 {
			s.use(newProcess(host, m.Cores[i]), elsewhere)
		}
	}
	for n := range m.Callers {
		s.call(s.kizods[n%len(s.kizods)])
	}
	return s
}

// use lets other programs use a host: a millisecond of CPU time at random moments.
func (s *simulation) use(others *process, clock *pool) {
	const work = 0.001 // seconds
	wait := &process{engine: &s.engine, pool: clock, threads: 1}
	var next func()
	next = func() {
		others.run(work, func() { s.usedByOthers[others.pool] += work })
		wait.run(s.random.ExpFloat64()*work/s.machine.Others, next)
	}
	next()
}

// around draws a service time, between half and three halves of its average: without, callers
// would move in step.
func (s *simulation) around(average time.Duration) float64 {
	return average.Seconds() * (0.5 + s.random.Float64())
}

// call is one caller's transfer, and then its next one.
func (s *simulation) call(k *kizod) {
	sent := s.now
	c := &command{from: s.random.IntN(s.machine.Accounts), to: s.random.IntN(s.machine.Accounts)}
	if s.machine.HotPayee {
		c.to = 0
	}
	c.answer = func() {
		k.run(s.around(s.costs.Request)/2, func() {
			s.done++
			s.took = append(s.took, s.now-sent)
			s.call(k)
		})
	}
	s.generator.run(s.around(s.costs.Generator), func() {
		k.run(s.around(s.costs.Request)/2, func() { s.enqueue(k, c) })
	})
}

func (s *simulation) enqueue(k *kizod, c *command) {
	k.waiting = append(k.waiting, c)
	k.unscanned++
	s.nextBatch(k)
}

// minBatch is commandQueue.minBatch.
func (s *simulation) minBatch(k *kizod) int {
	const minParallelBatch = 24
	return max(minParallelBatch, (len(k.waiting)+k.inCommands)/s.machine.Share)
}

// nextBatch is commandQueue.nextBatch, for every committer of a kizod that has no batch.
func (s *simulation) nextBatch(k *kizod) {
	for k.idle > 0 && len(k.waiting) > 0 && (k.inFlight == 0 || k.unscanned >= s.minBatch(k)) {
		k.unscanned = 0
		found := s.disjoint(k)
		if k.inFlight > 0 && len(found) < s.minBatch(k) {
			return
		}
		s.start(k, found)
	}
}

// disjoint is commandQueue.disjointBatch without bulk commands.
func (s *simulation) disjoint(k *kizod) (found []*command) {
	skipped := make(map[int]bool)
	for _, c := range k.waiting {
		switch {
		case len(found) == s.machine.MaxBatch:
			return found
		case k.inFlight > 0 && (k.accounts[c.from] || k.accounts[c.to] || skipped[c.from] || skipped[c.to]):
			skipped[c.from], skipped[c.to] = true, true
		default:
			found = append(found, c)
		}
	}
	return found
}

func (s *simulation) start(k *kizod, commands []*command) {
	b := &batch{kizod: k, commands: commands, began: s.now}
	chosen := make(map[*command]bool, len(commands))
	for _, c := range commands {
		chosen[c], k.accounts[c.from], k.accounts[c.to] = true, true, true
		b.accounts = append(b.accounts, c.from, c.to)
	}
	slices.Sort(b.accounts)
	b.accounts = slices.Compact(b.accounts)
	k.waiting = slices.DeleteFunc(k.waiting, func(c *command) bool { return chosen[c] })
	k.unscanned = len(k.waiting)
	k.idle--
	k.inFlight++
	k.inCommands += len(commands)
	k.run(readShare*s.kizodTime(b), func() {
		s.network.run(s.machine.RoundTrip.Seconds()/2, func() {
			s.postgres.run(readShare*s.postgresTime(b), func() {
				b.waiting = s.now
				s.lock(b)
			})
		})
	})
}

// readShare is the part of a batch's CPU time, in kizod and in PostgreSQL, that comes before it has
// its locks. The rest decides and writes the batch, which keeps the locks of its accounts.
const readShare = 0.2

func (s *simulation) kizodTime(b *batch) float64 {
	return s.around(s.costs.KizodBatch + time.Duration(len(b.commands))*s.costs.KizodCommand)
}

func (s *simulation) postgresTime(b *batch) float64 {
	return s.around(s.costs.PostgresBatch + time.Duration(len(b.commands))*s.costs.PostgresCommand)
}

// lock locks the accounts of a batch in order. When it has all, the batch is decided and written.
func (s *simulation) lock(b *batch) {
	for ; b.locked < len(b.accounts); b.locked++ {
		account := b.accounts[b.locked]
		l := s.locks[account]
		if l == nil {
			l = &lock{}
			s.locks[account] = l
		}
		if l.holder == nil {
			l.holder = b
		}
		if l.holder != b {
			l.waiting = append(l.waiting, b)
			return
		}
	}
	s.waited += s.now - b.waiting
	s.network.run(s.machine.RoundTrip.Seconds()/2, func() {
		b.kizod.run((1-readShare)*s.kizodTime(b), func() {
			s.network.run(s.machine.RoundTrip.Seconds()/2, func() { s.write(b) })
		})
	})
}

func (s *simulation) write(b *batch) {
	s.postgres.run((1-readShare)*s.postgresTime(b), func() {
		s.disk.run(s.costs.Flush.Seconds(), func() {
			s.unlock(b)
			s.network.run(s.machine.RoundTrip.Seconds()/2, func() { s.finish(b) })
		})
	})
}

// unlock passes the locks of a committed batch on to the batches that wait for them.
func (s *simulation) unlock(b *batch) {
	var freed []*batch
	for _, account := range b.accounts {
		l := s.locks[account]
		if l.holder = nil; len(l.waiting) > 0 {
			l.holder = l.waiting[0]
			l.waiting = l.waiting[1:]
			freed = append(freed, l.holder)
		} else {
			delete(s.locks, account)
		}
	}
	for _, waiting := range freed {
		s.lock(waiting)
	}
}

// finish answers the callers of a batch, whose committer then takes the next one.
func (s *simulation) finish(b *batch) {
	k := b.kizod
	for _, account := range b.accounts {
		delete(k.accounts, account)
	}
	k.idle++
	k.inFlight--
	k.inCommands -= len(b.commands)
	k.unscanned = len(k.waiting)
	s.batches++
	s.commands += len(b.commands)
	s.busy += s.now - b.began
	for _, c := range b.commands {
		c.answer()
	}
	s.nextBatch(k)
}

// reset forgets what was counted.
func (s *simulation) reset() {
	s.began, s.done, s.took, s.batches, s.commands, s.busy, s.waited = s.now, 0, nil, 0, 0, 0, 0
	clear(s.usedByOthers)
	for _, p := range s.hosts {
		p.advance(s.now)
		p.used = 0
	}
}

func (s *simulation) prediction() Prediction {
	elapsed := s.now - s.began
	slices.Sort(s.took)
	at := func(q float64) time.Duration {
		return time.Duration(s.took[int(q*float64(len(s.took)))] * float64(time.Second))
	}
	p := Prediction{
		PerSecond: float64(s.done) / elapsed, Batch: float64(s.commands) / float64(s.batches), P50: at(.5), P99: at(.99),
		Committing: s.busy / elapsed / float64(s.machine.Kizods*s.machine.Committers), LockWait: s.waited / s.busy,
	}
	for _, host := range s.hosts {
		host.advance(s.now)
		p.Busy = append(p.Busy, (host.used-s.usedByOthers[host])/elapsed/host.cores)
	}
	return p
}
