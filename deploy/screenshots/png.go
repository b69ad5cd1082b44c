package main

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"image"
	"image/color"
	"image/png"
	"os"
	"os/exec"
	"slices"
	"strings"
)

// maxColors limits the colors of a picture, and so its bytes. A screen has about ten colors; the
// others are the edges of its letters.
const maxColors = 32

// writePNG draws a picture as a PNG with a palette.
func writePNG(ctx context.Context, path, svg string) error {
	draw := exec.CommandContext(ctx, "rsvg-convert", "--format", "png")
	draw.Stdin = strings.NewReader(svg)
	drawn, err := draw.Output()
	if errors.Is(err, exec.ErrNotFound) {
		return fmt.Errorf("%w: install librsvg2-bin (apt), librsvg2-tools (dnf) or librsvg (brew)", err)
	}
	if err != nil {
		return fmt.Errorf("rsvg-convert: %w", err)
	}
	picture, err := png.Decode(bytes.NewReader(drawn))
	if err != nil {
		return err
	}
	var out bytes.Buffer
	encoder := png.Encoder{CompressionLevel: png.BestCompression}
	if err := encoder.Encode(&out, withPalette(picture)); err != nil {
		return err
	}
	return os.WriteFile(path, out.Bytes(), 0o644) //nolint:gosec // documentation
}

// withPalette gives each pixel of a picture the nearest color of a palette. The palette grows by
// the color whose pixels are, all together, farthest from the colors in it: a rare color is there,
// too.
func withPalette(picture image.Image) *image.Paletted {
	bounds, counts := picture.Bounds(), map[color.RGBA]int{}
	at := func(x, y int) color.RGBA {
		c := color.RGBAModel.Convert(picture.At(x, y)).(color.RGBA)
		if c.A < 0x80 { // outside of the round corners
			return color.RGBA{}
		}
		c.A = 0xFF
		return c
	}
	for y := bounds.Min.Y; y < bounds.Max.Y; y++ {
		for x := bounds.Min.X; x < bounds.Max.X; x++ {
			counts[at(x, y)]++
		}
	}
	all := make([]color.RGBA, 0, len(counts))
	for c := range counts {
		all = append(all, c)
	}
	slices.SortFunc(all, func(a, b color.RGBA) int {
		return cmp.Or(cmp.Compare(counts[b], counts[a]), cmp.Compare(a.R, b.R), cmp.Compare(a.G, b.G), cmp.Compare(a.B, b.B))
	})
	palette, away := color.Palette{}, make([]int, len(all))
	for i := range away {
		away[i] = 1 << 20
	}
	for range min(len(all), maxColors) {
		farthest := 0
		for i, c := range all {
			if counts[c]*away[i] > counts[all[farthest]]*away[farthest] {
				farthest = i
			}
		}
		palette = append(palette, all[farthest])
		for i, c := range all {
			away[i] = min(away[i], distance(c, all[farthest]))
		}
	}
	nearest := map[color.RGBA]uint8{}
	for _, c := range all {
		nearest[c] = uint8(palette.Index(c))
	}
	out := image.NewPaletted(bounds, palette)
	for y := bounds.Min.Y; y < bounds.Max.Y; y++ {
		for x := bounds.Min.X; x < bounds.Max.X; x++ {
			out.SetColorIndex(x, y, nearest[at(x, y)])
		}
	}
	return out
}

// distance is the square of the distance of two colors.
func distance(a, b color.RGBA) int {
	square := func(x, y uint8) int { return (int(x) - int(y)) * (int(x) - int(y)) }
	return square(a.R, b.R) + square(a.G, b.G) + square(a.B, b.B) + square(a.A, b.A)
}
