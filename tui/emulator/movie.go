package emulator

import (
	"fmt"
	"strings"
	"time"
)

// Movie is a sequence of screens as one animated picture.
type Movie struct {
	head   string
	frames []movieFrame
}

type movieFrame struct {
	rows []string
	time time.Duration
}

// Add adds the screen as it is now, which is shown for a time. All screens have the same size.
func (m *Movie) Add(s *Screen, colors Colors, shown time.Duration) {
	m.head = s.open(colors)
	m.frames = append(m.frames, movieFrame{s.Rows(colors), shown})
}

// SVG returns the picture, which repeats. A row that stays the same for several frames is in it
// once. For users who want reduced motion, and where nothing is animated, it is the first frame.
func (m *Movie) SVG() string {
	var total time.Duration
	for _, f := range m.frames {
		total += f.time
	}
	var style, body strings.Builder
	styled := map[string]bool{}
	began := time.Duration(0)
	for i, f := range m.frames {
		for row, content := range f.rows {
			if content == "" || i > 0 && m.frames[i-1].rows[row] == content {
				continue
			}
			last, ends := i, began
			for ; last < len(m.frames) && m.frames[last].rows[row] == content; last++ {
				ends += m.frames[last].time
			}
			class := fmt.Sprintf("f%d-%d", i, last)
			if !styled[class] {
				styled[class] = true
				writeLifetime(&style, class, began, ends, total)
			}
			if i == 0 {
				class += " first"
			}
			fmt.Fprintf(&body, "<g class=\"%s\">%s</g>\n", class, content)
		}
		began += f.time
	}
	return m.head + "<style>\n" + style.String() +
		"g.first { visibility: visible }\n@media (prefers-reduced-motion: reduce) { g { animation: none !important } }\n</style>\n" +
		body.String() + "</svg>\n"
}

// writeLifetime shows a class from one time to another.
func writeLifetime(style *strings.Builder, class string, began, ends, total time.Duration) {
	percent := func(at time.Duration) float64 { return 100 * at.Seconds() / total.Seconds() }
	fmt.Fprintf(style, "@keyframes %s { ", class)
	if began > 0 {
		style.WriteString("0% { visibility: hidden } ")
	}
	fmt.Fprintf(style, "%.3f%% { visibility: visible } ", percent(began))
	if ends < total {
		fmt.Fprintf(style, "%.3f%% { visibility: hidden } ", percent(ends))
	}
	fmt.Fprintf(style, "}\n.%s { visibility: hidden; animation: %s %.1fs step-end infinite }\n", class, class, total.Seconds())
}
