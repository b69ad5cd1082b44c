package freeport_test

import (
	"bufio"
	"net"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"

	"github.com/JDevAman/kizo/internal/freeport"
	"github.com/JDevAman/kizo/internal/testkit"
)

const (
	childVariable = "FREEPORT_TEST_CHILD"
	portsOfEach   = 200
)

// TestMain makes the test program a process that reserves ports, prints them, and keeps them until
// its standard input ends.
func TestMain(m *testing.M) {
	if os.Getenv(childVariable) == "" {
		os.Exit(m.Run())
	}
	for range portsOfEach {
		port, err := freeport.Reserve()
		if err != nil {
			panic(err)
		}
		_, _ = os.Stdout.WriteString(strconv.Itoa(port) + "\n")
	}
	_, _ = os.Stdin.Read(make([]byte, 1))
}

// TestPortsAreReservedOnce reserves 1,600 ports in eight processes. Without the lock, about a
// hundred pairs of them would be the same.
func TestPortsAreReservedOnce(t *testing.T) {
	seen := make(map[string]int)
	var children []*exec.Cmd
	var outputs []*bufio.Scanner
	for range 8 {
		child := exec.CommandContext(t.Context(), os.Args[0])
		child.Env = append(os.Environ(), childVariable+"=1")
		stdin, err := child.StdinPipe()
		testkit.Must(t, err)
		stdout, err := child.StdoutPipe()
		testkit.Must(t, err)
		testkit.Must(t, child.Start())
		t.Cleanup(func() {
			_ = stdin.Close()
			_ = child.Wait()
		})
		children, outputs = append(children, child), append(outputs, bufio.NewScanner(stdout))
	}
	for i, output := range outputs {
		for range portsOfEach {
			if !output.Scan() {
				t.Fatalf("process %d printed too few ports: %v", i, output.Err())
			}
			port := strings.TrimSpace(output.Text())
			if other, twice := seen[port]; twice {
				t.Fatalf("processes %d and %d have port %s", children[other].Process.Pid, children[i].Process.Pid, port)
			}
			seen[port] = i
		}
	}
}

// TestPortsInUseAreNotReserved listens on many ports. If they were not left out, one of them would
// be among those that are reserved with a probability of 0.999998.
func TestPortsInUseAreNotReserved(t *testing.T) {
	used := make(map[int]bool)
	for port := 20000; len(used) < 200; port++ {
		if listener, err := net.Listen("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(port))); err == nil {
			defer listener.Close()
			used[port] = true
		}
	}
	for range 800 {
		if port, err := freeport.Reserve(); err != nil || used[port] {
			t.Fatalf("port %d is in use, %v", port, err)
		}
	}
}
