//go:build !linux

package main

// credentialHelper is a program of the tests of credential commands, which run on Linux.
func credentialHelper() { panic("credential-helper runs on Linux only") }
