package embedded

import (
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// clusterProcesses lists the server processes of dataDir: every one of them
// has it as its working directory. So a pid that was reused by a stranger
// misleads nobody, and backends without a postmaster are found as well.
func clusterProcesses(dataDir string, _ int) []int {
	want, err := filepath.EvalSymlinks(dataDir)
	if err != nil {
		return nil
	}
	links, _ := filepath.Glob("/proc/[0-9]*/cwd")
	var pids []int
	for _, link := range links {
		if cwd, err := os.Readlink(link); err != nil || cwd != want {
			continue // another's, or gone
		}
		process := filepath.Dir(link)
		name, err := os.ReadFile(filepath.Join(process, "comm"))
		if err != nil || !slices.Contains([]string{"postgres", "postmaster"}, strings.TrimSpace(string(name))) {
			continue // a shell that went there to look
		}
		if pid, err := strconv.Atoi(filepath.Base(process)); err == nil {
			pids = append(pids, pid)
		}
	}
	return pids
}
