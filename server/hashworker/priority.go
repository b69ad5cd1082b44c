package hashworker

// priority is how a child competes for the CPU.
type priority byte

const (
	priorityIdle   priority = iota // only CPU time that no other process wants
	priorityLow                    // nice 19 in the normal scheduling class
	priorityNormal                 // that of kizod
)

func (p priority) String() string { return [...]string{"idle", "low", "normal"}[p] }

const lowestNice = 19

// LowerPriority gives this process the priority that children begin with.
func LowerPriority() { lower(priorityIdle) }
