package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/JDevAman/kizo/internal/testkit"
)

// runInNamespace runs this test again in a network and a mount namespace of its own, where all
// ports are free and /etc may be changed. ran is false if that is not permitted.
func runInNamespace(t *testing.T) (output string, ran bool) {
	t.Helper()
	program, err := os.Executable()
	testkit.Must(t, err)
	cmd := exec.CommandContext(t.Context(), program, "-test.run", "^"+t.Name()+"$", "-test.v", "-test.timeout", "5m")
	cmd.Env = append(os.Environ(), inNamespace+"=1", kizodBuilt+"="+kizod)
	cmd.SysProcAttr = &syscall.SysProcAttr{Unshareflags: unix.CLONE_NEWNET | unix.CLONE_NEWNS}
	var out outputBuffer
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Start(); err != nil {
		t.Log("a network namespace cannot be made:", err)
		return "", false
	}
	if err := cmd.Wait(); err != nil {
		t.Fatalf("%v\n%s", err, out.String())
	}
	return out.String(), true
}

// enterNamespace brings the loopback interface up, and mounts a copy of /etc in which
// wallet.example is this host.
func enterNamespace(dir string) error {
	if err := bringUpLoopback(); err != nil {
		return err
	}
	etc := filepath.Join(dir, "etc")
	if output, err := exec.Command("cp", "-a", "/etc/.", etc).CombinedOutput(); err != nil {
		return fmt.Errorf("copy /etc: %w: %s", err, output)
	}
	if err := os.Chmod(etc, 0o755); err != nil {
		return err
	}
	if err := unix.Mount(etc, "/etc", "", unix.MS_BIND, ""); err != nil {
		return fmt.Errorf("mount /etc: %w", err)
	}
	return os.WriteFile("/etc/hosts", []byte("127.0.0.1 localhost wallet.example\n"), 0o644)
}

// enterCopyOfHost makes the rest of this process run on a copy of the host's file system, in which
// packages may be installed: an overlay whose changes are in memory.
func enterCopyOfHost(dir string) error {
	if err := bringUpLoopback(); err != nil {
		return err
	}
	work, err := os.Getwd()
	if err != nil {
		return err
	}
	if err := unix.Mount("", "/", "", unix.MS_PRIVATE|unix.MS_REC, ""); err != nil {
		return fmt.Errorf("make mounts private: %w", err)
	}
	if err := unix.Mount("tmpfs", dir, "tmpfs", 0, ""); err != nil {
		return fmt.Errorf("mount a tmpfs: %w", err)
	}
	upper, workDir, root := filepath.Join(dir, "upper"), filepath.Join(dir, "work"), filepath.Join(dir, "root")
	for _, d := range []string{upper, workDir, root} {
		if err := os.Mkdir(d, 0o755); err != nil {
			return err
		}
	}
	if err := unix.Mount("overlay", root, "overlay", 0, "lowerdir=/,upperdir="+upper+",workdir="+workDir); err != nil {
		return fmt.Errorf("mount an overlay: %w", err)
	}
	for _, d := range []string{"/dev", "/proc"} {
		if err := unix.Mount(d, filepath.Join(root, d), "", unix.MS_BIND|unix.MS_REC, ""); err != nil {
			return fmt.Errorf("mount %s: %w", d, err)
		}
	}
	if err := unix.Chroot(root); err != nil {
		return fmt.Errorf("chroot: %w", err)
	}
	return os.Chdir(work)
}

func bringUpLoopback() error {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	loopback, err := unix.NewIfreq("lo")
	if err != nil {
		return err
	}
	loopback.SetUint16(unix.IFF_UP | unix.IFF_RUNNING)
	if err := unix.IoctlIfreq(fd, unix.SIOCSIFFLAGS, loopback); err != nil {
		return fmt.Errorf("bring up lo: %w", err)
	}
	return nil
}
