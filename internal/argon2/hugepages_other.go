//go:build !linux

package argon2

func useHugePages([]block) {}
