package server

import "testing"

// The expected values are those of the table in docs/operations.md.
func TestClientConnections(t *testing.T) {
	t.Parallel()
	for descriptors, want := range map[int]int{0: 16384, 128: 32, 256: 64, 512: 232, 1024: 680, 20_000: 16384, 1_000_000: 16384} {
		if got := clientConnections(descriptors, 24); got != want {
			t.Errorf("of %d descriptors, clients have %d, want %d", descriptors, got, want)
		}
	}
}
