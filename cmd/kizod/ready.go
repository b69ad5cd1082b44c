package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"syscall"
)

// readiness is what a ready file says.
type readiness struct {
	URL    string `json:"url"`
	OpsURL string `json:"ops_url"`
	PID    int    `json:"pid"`

	PprofURL string `json:"pprof_url,omitempty"`
}

// announce writes the ready file in one step, so that who waits for it never
// reads half of it.
func announce(d daemon, path string) error {
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

// retract removes a ready file of ours, or of a run that is no more (a killed one
// leaves it behind): who waits for it must not read about a kizod that is gone.
func retract(path string) error {
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

// readReadiness knows a ready file from whatever else may stand at its path;
// announce will say what is wrong with that.
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
