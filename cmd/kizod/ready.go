package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"syscall"
)

// readiness is the content of a ready file.
type readiness struct {
	URL    string `json:"url"`
	OpsURL string `json:"ops_url"`
	PID    int    `json:"pid"`

	PprofURL string `json:"pprof_url,omitempty"`
}

// writeReadyFile writes the ready file atomically, so that no process reads an incomplete one.
func writeReadyFile(d daemon, path string) error {
	if path == "" {
		return nil
	}
	ready, err := json.Marshal(readiness{d.URL(), d.OpsURL(), os.Getpid(), d.PprofURL()})
	if err != nil {
		return err
	}
	temp, err := os.CreateTemp(filepath.Dir(path), ".ready-*")
	if err != nil {
		return fmt.Errorf("write the ready file: %w", err)
	}
	_, err = temp.Write(append(ready, '\n'))
	if err = errors.Join(err, temp.Close()); err == nil {
		err = os.Rename(temp.Name(), path)
	}
	if err != nil {
		return fmt.Errorf("write the ready file: %w", errors.Join(err, os.Remove(temp.Name())))
	}
	return nil
}

// removeReadyFile removes a ready file of this process, or of one that has ended, such as a killed
// one. A process that waits for the file must not read that of a kizod that no longer runs.
func removeReadyFile(path string) error {
	if path == "" {
		return nil
	}
	old, ok := readReadiness(path)
	if !ok || (old.PID != os.Getpid() && alive(old.PID)) {
		return nil
	}
	if err := os.Remove(path); err != nil {
		return fmt.Errorf("remove the old ready file: %w", err)
	}
	return nil
}

// readReadiness reads a ready file; ok is false if there is none, or another file at its path.
func readReadiness(path string) (r readiness, ok bool) {
	text, err := os.ReadFile(path)
	if err != nil || json.Unmarshal(text, &r) != nil {
		return r, false
	}
	return r, r.PID > 0
}

func alive(pid int) bool {
	process, err := os.FindProcess(pid)
	if err != nil {
		return false
	}
	err = process.Signal(syscall.Signal(0))
	return err == nil || errors.Is(err, syscall.EPERM)
}
