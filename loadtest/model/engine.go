package model

import (
	"container/heap"
	"math"
)

// pool is a number of cores that the tasks on it share equally; no task uses more than one of
// them. Virtual is the CPU time that a task would have got if it had been there from the beginning.
// A task ends when virtual has grown by its work, however many tasks come and go meanwhile.
type pool struct {
	cores   float64
	running tasks   // by the value of virtual at which they end
	virtual float64 // seconds
	at      float64 // the time at which virtual was computed, in seconds
	used    float64 // CPU time of all tasks, in seconds
}

// task is work on a pool.
type task struct {
	end  float64
	nth  int // tasks that end together end in the order of their arrival
	then func()
}

type tasks []task

func (t tasks) Len() int { return len(t) }
func (t tasks) Less(i, j int) bool {
	return t[i].end < t[j].end || t[i].end == t[j].end && t[i].nth < t[j].nth
}
func (t tasks) Swap(i, j int) { t[i], t[j] = t[j], t[i] }
func (t *tasks) Push(x any)   { *t = append(*t, x.(task)) } //nolint:forcetypeassert // only start calls it
func (t *tasks) Pop() any {
	last := (*t)[len(*t)-1]
	*t = (*t)[:len(*t)-1]
	return last
}

// rate is how fast a task progresses: 1 if it has a core.
func (p *pool) rate() float64 { return min(1, p.cores/float64(max(len(p.running), 1))) }

func (p *pool) advance(now float64) {
	p.virtual += (now - p.at) * p.rate()
	p.used += (now - p.at) * p.rate() * float64(len(p.running))
	p.at = now
}

// next is the time at which the next task ends.
func (p *pool) next() float64 {
	if len(p.running) == 0 {
		return math.Inf(1)
	}
	return p.at + max(0, p.running[0].end-p.virtual)/p.rate()
}

// process serves work in order of arrival with a number of threads on a pool.
type process struct {
	engine  *engine
	pool    *pool
	threads int
	busy    int
	queue   []func() // starts of work that waits for a thread
}

// run calls then when the process has worked for so many seconds of CPU time.
func (p *process) run(seconds float64, then func()) {
	if p.busy == p.threads {
		p.queue = append(p.queue, func() { p.start(seconds, then) })
		return
	}
	p.start(seconds, then)
}

func (p *process) start(seconds float64, then func()) {
	p.busy++
	p.pool.advance(p.engine.now)
	p.engine.tasks++
	heap.Push(&p.pool.running, task{p.pool.virtual + seconds, p.engine.tasks, func() {
		p.busy--
		if len(p.queue) > 0 {
			first := p.queue[0]
			p.queue = p.queue[1:]
			first()
		}
		then()
	}})
}

// engine moves the time from the end of one task to the next.
type engine struct {
	now   float64 // seconds
	pools []*pool
	tasks int
}

func (e *engine) newPool(cores float64) *pool {
	p := &pool{cores: cores, at: e.now}
	e.pools = append(e.pools, p)
	return p
}

func (e *engine) step() {
	first := e.pools[0]
	for _, p := range e.pools[1:] {
		if p.next() < first.next() {
			first = p
		}
	}
	e.now = max(e.now, first.next())
	first.advance(e.now)
	ended := heap.Pop(&first.running).(task) //nolint:forcetypeassert // see Push
	ended.then()
}
