//go:build !linux

package main

import (
	"errors"
	"testing"
)

func runInNamespace(*testing.T) (said string, ran bool) { return "", false }

func enterNamespace(string) error { return errors.New("there are no namespaces on this system") }
