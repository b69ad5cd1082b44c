package main

import (
	"context"
	"os"
	"os/exec"
	"runtime"
	"syscall"
	"testing"
	"time"
)

// interruptTwice is a command of the test binary. It sends itself SIGINT, and SIGINT again as soon
// as the context is canceled. The second signal must end it; if the signal is lost, it returns with
// exit code 0.
func interruptTwice() {
	self, err := os.FindProcess(os.Getpid())
	if err != nil {
		panic(err)
	}
	ctx, stop := untilInterrupted()
	defer stop()
	if err := self.Signal(os.Interrupt); err != nil {
		panic(err)
	}
	<-ctx.Done()
	if err := self.Signal(os.Interrupt); err != nil {
		panic(err)
	}
	time.Sleep(time.Minute) // the signal ends the process, unless it was lost
}

// TestSecondInterruptEndsAtOnce fails if the signal handler is still installed when the context is
// canceled, because the second signal would then be lost.
func TestSecondInterruptEndsAtOnce(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("a process cannot send itself os.Interrupt on Windows")
	}
	for range 5 {
		command := exec.CommandContext(t.Context(), "interrupted-twice")
		_ = command.Run()
		status, ok := command.ProcessState.Sys().(syscall.WaitStatus)
		if !ok || !status.Signaled() || status.Signal() != syscall.SIGINT {
			t.Fatalf("the second SIGINT was lost: %v", command.ProcessState)
		}
	}
}

// TestStopWithoutInterrupt cancels the context without a signal.
func TestStopWithoutInterrupt(t *testing.T) {
	ctx, stop := untilInterrupted()
	stop()
	if ctx.Err() != context.Canceled {
		t.Errorf("the context is not canceled: %v", ctx.Err())
	}
}
