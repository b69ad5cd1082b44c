// Package freeport reserves TCP ports of 127.0.0.1 for servers that cannot choose one themselves,
// such as PostgreSQL, nginx, and a bank that is killed and started again with its address.
//
//	port, err := freeport.Reserve() // 27311: no other process of Kizo's tests gets it
//
// A port that the kernel chooses for a listener, which is then closed, may be given to any client
// or listener before the server has started. These ports are below those that the kernel chooses.
package freeport

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"sync"

	"golang.org/x/sys/unix"
)

// Linux gives ports from 32768 on to clients and to listeners on port 0, other systems from 49152
// on (RFC 6335 §6).
const (
	first = 20000
	last  = 31999
)

var (
	mu       sync.Mutex
	reserved = make(map[int]bool) // by this process, whose own locks do not exclude each other
	lockFile = sync.OnceValues(func() (*os.File, error) {
		return os.OpenFile(filepath.Join(os.TempDir(), "kizo-ports-"+strconv.Itoa(os.Getuid())), os.O_CREATE|os.O_RDWR, 0o600)
	})
)

// Reserve returns a port on which nothing listens. No other call returns it, in any process of this
// user, until this process has ended.
func Reserve() (int, error) {
	mu.Lock()
	defer mu.Unlock()
	file, err := lockFile()
	if err != nil {
		return 0, fmt.Errorf("reserve a port: %w", err)
	}
	const count = last - first + 1
	offset := rand.IntN(count) //nolint:gosec // not a secret
	for i := range count {
		port := first + (offset+i)%count
		// The lock is on the byte of the port, whether the file has one there or not.
		lock := unix.Flock_t{Type: unix.F_WRLCK, Start: int64(port), Len: 1}
		if reserved[port] || unix.FcntlFlock(file.Fd(), unix.F_SETLK, &lock) != nil {
			continue
		}
		listener, err := net.Listen("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(port))) //nolint:noctx // closed at once
		if err != nil {
			continue
		}
		if err := listener.Close(); err != nil {
			return 0, fmt.Errorf("reserve a port: %w", err)
		}
		reserved[port] = true
		return port, nil
	}
	return 0, errors.New("no port from 20000 to 31999 is free")
}
