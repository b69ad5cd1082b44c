package problem_test

import (
	"errors"
	"fmt"
	"io"
	"testing"

	"github.com/JDevAman/kizo/server/problem"
)

const full, empty problem.Code = "full", "empty"

func TestACodeIsFoundThroughWrapping(t *testing.T) {
	err := fmt.Errorf("add: %w", &problem.Error{Code: full, Message: "no space", Cause: io.EOF})
	for target, want := range map[error]bool{full: true, empty: false, io.EOF: true, io.ErrUnexpectedEOF: false} {
		if got := errors.Is(err, target); got != want {
			t.Errorf("errors.Is(err, %v) = %v", target, got)
		}
	}
	if got := problem.CodeOf(err); got != full {
		t.Errorf("CodeOf = %q", got)
	}
	if got := problem.CodeOf(io.EOF); got != "" {
		t.Errorf("CodeOf(io.EOF) = %q", got)
	}
}

func TestTheTextHasTheCause(t *testing.T) {
	for want, err := range map[string]error{
		"full: no space":      problem.New(full, "no space"),
		"full: no space: EOF": &problem.Error{Code: full, Message: "no space", Cause: io.EOF},
		"full: 3 of 3":        problem.Errorf(full, "%d of %d", 3, 3),
	} {
		if got := err.Error(); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}
