//go:build !linux

package embedded

import (
	"os/exec"
	"strconv"
	"strings"
)

// clusterProcesses returns the postmaster, if its pid is that of a postgres that was started on
// dataDir. Its children end with it.
func clusterProcesses(dataDir string, postmaster int) []int {
	if !alive(postmaster) {
		return nil
	}
	out, err := exec.Command("ps", "-ww", "-o", "command=", "-p", strconv.Itoa(postmaster)).Output()
	if err != nil || !strings.Contains(string(out), "postgres") || !strings.Contains(string(out), dataDir) {
		return nil
	}
	return []int{postmaster}
}
