//go:build unix

package main

import (
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/pquerna/otp/totp"
	"rsc.io/qr"

	"github.com/JDevAman/kizo/internal/testkit"
)

// TestSecondFactorOnATerminal: a user adds a second factor, logs in with it, loses the app, and
// comes back with a recovery code, by prompts alone.
func TestSecondFactorOnATerminal(t *testing.T) {
	kizod, err := startKizod()
	testkit.Must(t, err)
	ada := newPerson(t, kizod.URL, "adafactor")
	const password = "correct horse battery"
	w := newWorld(t, nil)
	w.env = map[string]string{}
	for _, pair := range ada.env {
		name, value, _ := strings.Cut(pair, "=")
		w.env[name] = value
	}
	x := onTerminal(t, w, "second-factor", "add")
	x.until("Password: ")
	x.types(password + "\n")
	x.until("(for kizo second-factor add): ")
	secret := regexp.MustCompile(`into it: ([A-Z2-7]{32})`).FindStringSubmatch(x.shown.String())
	if secret == nil {
		t.Fatalf("no secret:\n%s", x.shown.String())
	}
	if readQR(t, x.shown.String()) != drawnQR(t, "otpauth://totp/Kizo:@"+ada.handle+"?issuer=Kizo&secret="+secret[1]) {
		t.Error("the QR code is not that of the secret")
	}
	otp, err := totp.GenerateCode(secret[1], time.Now())
	testkit.Must(t, err)
	x.types("1\n") // a typing error
	x.until("2 tries left")
	x.until("(for kizo second-factor add): ")
	x.types(otp + "\n")
	x.until("not shown again")
	if code := x.exitCode(); code != exitDone {
		t.Fatalf("exit code %d:\n%s", code, x.shown.String())
	}
	recovery := regexp.MustCompile(`[0-9A-Z]{4}(?:-[0-9A-Z]{4}){3}`).FindAllString(x.shown.String(), -1)
	testkit.Equal(t, "recovery codes", len(recovery), 10)

	x = onTerminal(t, w, "login", ada.handle)
	x.until("Password: ")
	x.types(password + "\n")
	x.until("recovery code (for kizo login): ")
	x.types(strings.ToLower(recovery[0]) + "\n")
	x.until("That was a recovery code: 9 are left")
	if code := x.exitCode(); code != exitDone || strings.Contains(x.shown.String(), strings.ToLower(recovery[0])) {
		t.Errorf("exit code %d:\n%s", code, x.shown.String())
	}

	// The dashboard asks for the code as well.
	ada.kizo("logout")
	d := openWindow(t, 80, 24, ada.env, "dashboard")
	d.until("LOGGED OUT", "Password")
	d.types("@" + ada.handle + enter + password + enter)
	d.until("Code", "or a recovery code")
	d.types("000000" + enter)
	d.until("this code is wrong")
	d.types(recovery[1] + enter)
	d.until("● LIVE", "@"+ada.handle)
	if strings.Contains(d.screen.Text(), recovery[1]) {
		t.Errorf("%s", d.screen.Text())
	}
}

// readQR returns the modules of a drawing, without the quiet zone.
func readQR(t *testing.T, shown string) string {
	t.Helper()
	var modules strings.Builder
	for line := range strings.Lines(shown) {
		_, line, drawn := strings.Cut(line, "\x1b[30;107m")
		line, _, ended := strings.Cut(line, "\x1b[0m")
		if !drawn || !ended {
			continue
		}
		upper := strings.NewReplacer(" ", ".", "▀", "#", "▄", ".", "█", "#").Replace(line)
		lower := strings.NewReplacer(" ", ".", "▀", ".", "▄", "#", "█", "#").Replace(line)
		modules.WriteString(upper + "\n" + lower + "\n")
	}
	return modules.String()
}

// drawnQR returns the modules of a text, with the quiet zone of qrCode.
func drawnQR(t *testing.T, text string) string {
	t.Helper()
	code, err := qr.Encode(text, qr.L)
	testkit.Must(t, err)
	const quiet = 2
	height := (code.Size + 2*quiet + 1) / 2 * 2 // whole characters
	var modules strings.Builder
	for y := range height {
		for x := range code.Size + 2*quiet {
			if code.Black(x-quiet, y-quiet) {
				modules.WriteByte('#')
			} else {
				modules.WriteByte('.')
			}
		}
		modules.WriteByte('\n')
	}
	return modules.String()
}
