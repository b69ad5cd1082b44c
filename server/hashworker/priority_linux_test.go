package hashworker

import (
	"os"
	"strconv"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/JDevAman/kizo/internal/testkit"
)

// TestChildHasALongTimeSlice: the time slice of every thread of a child is longer than that of
// other processes, so that their threads take the CPU at once when they wake up.
func TestChildHasALongTimeSlice(t *testing.T) {
	t.Parallel()
	own, err := unix.SchedGetAttr(0, 0)
	testkit.Must(t, err)
	if own.Runtime == 0 {
		t.Skip("this kernel has no time slices of threads: Linux 6.12 has them")
	}
	w := newWorker(t)
	w.limits.starved = time.Hour // even on a busy machine, the first child is not replaced
	for i := range 20 {
		wantHash(t, w, job(strconv.Itoa(i)))
	}
	tasks, err := os.ReadDir("/proc/" + strconv.Itoa(onlyPID(t, w)) + "/task")
	testkit.Must(t, err)
	for _, task := range tasks {
		id, err := strconv.Atoi(task.Name())
		testkit.Must(t, err)
		attr, err := unix.SchedGetAttr(id, 0)
		testkit.Must(t, err)
		if got := time.Duration(attr.Runtime); got != longSlice {
			t.Errorf("thread %d has a time slice of %v, want %v", id, got, longSlice)
		}
	}
}
