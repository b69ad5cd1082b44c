package main

import (
	"encoding/json"
	"path/filepath"
	"slices"
	"strings"

	"github.com/JDevAman/kizo/client"
)

// maxStoredDevices limits how many users of one context and server the file of device tokens has.
const maxStoredDevices = 8

// storedDevice is the device token of one user, by both names that the user logs in with.
type storedDevice struct {
	Handle string `json:"handle"`
	Email  string `json:"email"`
	Token  string `json:"token"`
}

// devicePath is the file of the device tokens for the server: beside the session file, also if the
// session is in another vault, because a log-out must not make the device a new one. It opens
// nothing.
func (s *sessionStore) devicePath() string { return filepath.Join(s.dir(), s.name+".device") }

// storedDevices returns what the file has, the newest first. A file that cannot be used has none.
func (s *sessionStore) storedDevices() (devices []storedDevice) {
	text, err := readPrivate(s.devicePath())
	if err != nil || json.Unmarshal(text, &devices) != nil {
		return nil
	}
	return devices
}

// DeviceToken implements client.DeviceTokens.
func (s *sessionStore) DeviceToken(login string) string {
	for _, d := range s.storedDevices() {
		if login == "" || strings.EqualFold(login, d.Handle) || strings.EqualFold(login, d.Email) {
			return d.Token
		}
	}
	return ""
}

// KeepDeviceToken implements client.DeviceTokens.
func (s *sessionStore) KeepDeviceToken(user client.User, token string) {
	devices := slices.DeleteFunc(s.storedDevices(), func(d storedDevice) bool { return d.Handle == user.Handle })
	devices = append([]storedDevice{{user.Handle, user.Email, token}}, devices...)
	text, err := json.Marshal(devices[:min(len(devices), maxStoredDevices)])
	if err == nil {
		_ = replaceFile(s.devicePath(), append(text, '\n')) // without it, the next log-in is from a new device
	}
}
