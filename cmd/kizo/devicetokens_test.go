package main

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/JDevAman/kizo/client"
	"github.com/JDevAman/kizo/internal/testkit"
)

// TestDeviceTokensOutliveSessions: a device token is kept by user, survives the end of the session,
// and is in a file that only its owner can read.
func TestDeviceTokensOutliveSessions(t *testing.T) {
	s := newFileStore(filepath.Join(t.TempDir(), "kizo"), "http://127.0.0.1:7420")
	testkit.Equal(t, "before the first log-in", s.DeviceToken("ada"), "")
	keep(t, s, client.Credentials{AccessToken: "a", RefreshToken: "r"})
	s.KeepDeviceToken(client.User{Handle: "ada", Email: "ada@example.com"}, "one")
	s.KeepDeviceToken(client.User{Handle: "bob", Email: "bob@example.com"}, "two")
	testkit.Must(t, s.Clear(t.Context()))
	for login, want := range map[string]string{"Ada": "one", "ADA@example.com": "one", "bob": "two", "eve": "", "": "two"} {
		testkit.Equal(t, "token of "+login, s.DeviceToken(login), want)
	}
	info, err := os.Stat(s.devicePath())
	testkit.Must(t, err)
	testkit.Equal(t, "mode", info.Mode().Perm(), 0o600)
	for i := range maxStoredDevices {
		s.KeepDeviceToken(client.User{Handle: fmt.Sprintf("u%d", i)}, "x")
	}
	testkit.Equal(t, "users", len(s.storedDevices()), maxStoredDevices)
	testkit.Equal(t, "the oldest", s.DeviceToken("ada"), "")
	testkit.Must(t, os.WriteFile(s.devicePath(), []byte("damaged"), 0o600))
	testkit.Equal(t, "of a damaged file", s.DeviceToken("bob"), "")
}
