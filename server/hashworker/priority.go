package hashworker

// priority is the scheduling priority of a child.
type priority byte

const (
	priorityIdle   priority = iota // SCHED_IDLE: only CPU time that no other process wants
	priorityLow                    // nice 19 in the normal scheduling class
	priorityNormal                 // the same as kizod
)

func (p priority) String() string { return [...]string{"idle", "low", "normal"}[p] }

const lowestNice = 19
