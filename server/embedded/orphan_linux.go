package embedded

import (
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// clusterProcesses returns the server processes of dataDir. Each of them has dataDir as its working
// directory. So a pid that another process has now is not mistaken for a server, and backends
// without a postmaster are found too.
func clusterProcesses(dataDir string, _ int) []int {
	want, err := filepath.EvalSymlinks(dataDir)
	if err != nil {
		return nil
	}
	links, _ := filepath.Glob("/proc/[0-9]*/cwd")
	var pids []int
	for _, link := range links {
		if cwd, err := os.Readlink(link); err != nil || cwd != want {
			continue // of another process, or one that has ended
		}
		process := filepath.Dir(link)
		name, err := os.ReadFile(filepath.Join(process, "comm"))
		if err != nil || !slices.Contains([]string{"postgres", "postmaster"}, strings.TrimSpace(string(name))) {
			continue // such as a shell in that directory
		}
		if pid, err := strconv.Atoi(filepath.Base(process)); err == nil {
			pids = append(pids, pid)
		}
	}
	return pids
}
