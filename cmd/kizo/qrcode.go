package main

import (
	"fmt"
	"strings"

	"rsc.io/qr"
)

// qrCode draws text as a QR code, two modules in each character. The colors are set, because
// readers need dark modules on a light ground, whatever the colors of the terminal are.
func qrCode(text string) (string, error) {
	code, err := qr.Encode(text, qr.L)
	if err != nil {
		return "", fmt.Errorf("draw the QR code: %w", err)
	}
	const (
		quiet       = 2 // modules around it
		blackOnPale = "\x1b[30;107m"
		reset       = "\x1b[0m"
	)
	halves := map[[2]bool]string{{false, false}: " ", {true, false}: "▀", {false, true}: "▄", {true, true}: "█"}
	var drawing strings.Builder
	for y := -quiet; y < code.Size+quiet; y += 2 {
		drawing.WriteString(blackOnPale)
		for x := -quiet; x < code.Size+quiet; x++ {
			drawing.WriteString(halves[[2]bool{code.Black(x, y), code.Black(x, y+1)}])
		}
		drawing.WriteString(reset + "\n")
	}
	return drawing.String(), nil
}
