package argon2

import (
	"bufio"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"unsafe"
)

func TestMemoryMayUseHugePages(t *testing.T) {
	if _, err := os.Stat("/sys/kernel/mm/transparent_hugepage"); err != nil {
		t.Skip("this Linux has no transparent huge pages")
	}
	var memory Memory
	blocks := memory.take(19 << 10)
	flags := mappingFlags(t, uintptr(unsafe.Pointer(&blocks[len(blocks)/2])))
	if !slices.Contains(flags, "hg") {
		t.Errorf("the flags of the mapping are %v, without hg (proc_pid_smaps(5))", flags)
	}
}

// mappingFlags returns the VmFlags of the mapping of this process that contains an address.
func mappingFlags(t *testing.T, address uintptr) []string {
	file, err := os.Open("/proc/self/smaps")
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	inside := false
	for lines := bufio.NewScanner(file); lines.Scan(); {
		var begin, end uintptr
		if n, _ := fmt.Sscanf(lines.Text(), "%x-%x ", &begin, &end); n == 2 {
			inside = begin <= address && address < end
		}
		if flags, ok := strings.CutPrefix(lines.Text(), "VmFlags: "); ok && inside {
			return strings.Fields(flags)
		}
	}
	t.Fatal("the address is in no mapping")
	return nil
}
