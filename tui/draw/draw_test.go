package draw

import (
	"math"
	"strconv"
	"strings"
	"testing"

	"github.com/charmbracelet/x/ansi"
	"pgregory.net/rapid"

	"github.com/JDevAman/kizo/internal/printable"
)

func TestBlocks(t *testing.T) {
	for _, test := range []struct{ name, got, want string }{
		{"fit", Fit("山田太郎", 5), "山田…"},
		{"fit pads", Fit("Ada", 5), "Ada  "},
		{"numbers stand right", FitRight("12.50", 7), "  12.50"},
		{"a heart is one column wide everywhere", Fit("❤️!", 3), "❤! "},
		{"a flag is its letters", Fit("🇩🇪👍🏽", 5), "DE👍 "},
		{"a character of no one width", Fit("☰", 8), `\u{2630}`},
		{"an order to the terminal", Fit("a\x1b[2J", 12), `a\u{1b}[2J  `},
		{"box", Box{Title: "A", Note: "n", Body: "one\ntwo", Width: 12, Height: 4}.Draw(),
			"+ A --- n -+\n| one      |\n| two      |\n+----------+"},
		{"box too narrow for its note", Box{Title: "Title", Note: "long note", Body: "x", Width: 10, Height: 3, Detail: Blocks}.Draw(),
			"╭ Title ─╮\n│ x      │\n╰────────╯"},
		{"panel", Panel([]Pair{{Name: "held", Value: "1.00"}, {Name: "available", Value: "2.00"}}, 16, nil),
			"held       1.00 \navailable  2.00 "},
		{"gauge", Gauge(1, 4, 13, ASCII), "##......  25%"},
		{"gauge of nothing", Gauge(0, 0, 9, Blocks), "░░░░   0%"},
		{"beside", Beside("a\nb", "c"), "ac\nb "},
		{"scrollbar", strings.Join(Scrollbar(50, 100, 5, ASCII), ""), "||#||"},
		{"scrollbar at the end", strings.Join(Scrollbar(95, 100, 5, ASCII), ""), "||||#"},
		{"no scrollbar", strings.Join(Scrollbar(0, 5, 5, ASCII), ""), "     "},
	} {
		if test.got != test.want {
			t.Errorf("%s:\n%s\nwant\n%s", test.name, test.got, test.want)
		}
	}
}

// TestPlot shows a gap, an idle second that is bridged, and a line above the area.
func TestPlot(t *testing.T) {
	unknown := math.NaN()
	p := Plot{
		Area: []float64{10, 20, 30, unknown, unknown, 30, Idle, 50, 60, 0}, Line: []float64{20, 40, 60, unknown, unknown, 90, Idle, 90, 60, 60},
		Newest: 9, Span: 20, Join: 3, Width: 28, Height: 6, Ago: "20 s", Format: func(v float64) string { return strconv.Itoa(int(v)) + " ms" },
	}
	for _, test := range []struct {
		name   string
		change func(*Plot)
		want   []string
	}{
		{"ASCII", func(*Plot) {}, []string{
			"100 ms +               ---_ ",
			"       |            -    .:-",
			"       |           -.  .:## ",
			"       |          :##  ####.",
			"  0 ms +          ---  -----",
			"        20 s ago         now",
		}},
		{"braille", func(q *Plot) { q.Detail = Braille }, []string{
			"100 ms ┤               ⠐⠒⠒⢢ ",
			"       │            ⢠⠄   ⢀⣸⡤",
			"       │           ⢰⢪⡄ ⢠⣴⣿⣿⡇",
			"       │          ⢸⣿⣿⡇ ⢸⣿⣿⣿⣇",
			"  0 ms └          ──── ─────",
			"        20 s ago         now",
		}},
		{"blocks, too small for axes", func(q *Plot) { q.Detail, q.Width, q.Height = Blocks, 20, 2 }, []string{
			"            ─  ──▁▂─",
			"          ▃▄▆  ▆▇██▁",
		}},
		{"a constant is a number", func(q *Plot) { q.Area, q.Line, q.Width, q.Height = []float64{3, Idle, 3}, nil, 40, 2 }, []string{
			" 3 ms in every sample of the last 20 s  ",
			"                                        ",
		}},
		{"nothing happened", func(q *Plot) { q.Area, q.Line, q.Height = []float64{Idle, Idle}, nil, 2 }, []string{
			" nothing measured in the    ",
			" last 20 s                  ",
		}},
		{"logarithmic", func(q *Plot) {
			q.Log, q.Area, q.Line, q.Height = true, []float64{3, 3, 3, 300, 30, 3, 3000}, nil, 8
		}, []string{
			"3000 ms +                  #",
			"        |               .  #",
			" 100 ms +               #  #",
			"        |               #: #",
			"  10 ms +               ## #",
			"        |            #######",
			"   1 ms +            -------",
			"         20 s ago        now",
		}},
		{"above a high base", func(q *Plot) { q.Area, q.Line, q.Above = []float64{1000, 1010, 1040}, nil, true }, []string{
			"1040 ms +                  #",
			"        |                  #",
			"        |                 .#",
			"        |                .##",
			"1000 ms +                ---",
			"         20 s ago        now",
		}},
		{"means of two", func(q *Plot) {
			q.Area, q.Line, q.Mean, q.Span, q.Newest, q.Height = []float64{0, 60, 20, 40}, nil, true, 56, 3, 1
		}, []string{" 30 ms in every sample of t…"}},
	} {
		q := p
		test.change(&q)
		if got, want := q.Draw(), strings.Join(test.want, "\n"); got != want {
			t.Errorf("%s:\n%s\nwant\n%s", test.name, got, want)
		}
	}
}

// TestPlotKeepsItsShape: what is drawn moves to the left as time passes, and does not flicker.
func TestPlotKeepsItsShape(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		values := rapid.SliceOfN(rapid.Float64Range(0, 9), 200, 200).Draw(t, "values")
		p := Plot{Span: rapid.IntRange(20, 100).Draw(t, "span"), Mean: rapid.Bool().Draw(t, "mean"), Detail: Braille}
		width, newest := rapid.IntRange(4, 30).Draw(t, "width"), rapid.IntRange(150, 198).Draw(t, "newest")
		draw := func(newest int) []float64 {
			p.Newest = int64(newest)
			return p.sampled(values[:newest+1], width)
		}
		before, after := draw(newest), draw(newest+1)
		per := float64(p.Span) / float64(2*width)
		moved := int(math.Floor(float64(newest+1)/per)) - int(math.Floor(float64(newest)/per))
		kept := len(before) - 1 - max(1, int(math.Ceil(1/per))) // the newest columns are not complete
		for i := moved; i < kept; i++ {
			if before[i] != after[i-moved] {
				t.Fatalf("column %d was %v and is %v", i, before[i], after[i-moved])
			}
		}
	})
}

func TestTable(t *testing.T) {
	table := Table{
		Columns: []Column{{Title: "WHEN", Drop: 2}, {Title: "WHO", Cut: 4}, {Title: "AMOUNT", Right: true}, {Title: "MEMO", Cut: 4, Drop: 1}},
		Rows: [][]Cell{
			{{Text: "now"}, {Text: "@bob"}, {Text: "12.50 USD"}, {Text: "lunch at noon"}},
			{{Text: "2d ago"}, {Text: "@username"}, {Text: "1,000.00 USD"}, {}},
		},
		Selected: 1, Height: 3,
	}
	for width, want := range map[int]string{
		50: "  WHEN    WHO              AMOUNT  MEMO           \n" +
			"  now     @bob          12.50 USD  lunch at noon  \n" +
			"> 2d ago  @username  1,000.00 USD                 ",
		40: "  WHEN    WHO              AMOUNT  MEMO \n" +
			"  now     @bob          12.50 USD  lunc…\n" +
			"> 2d ago  @username  1,000.00 USD       ",
		20: "  WHO         AMOUNT\n" +
			"  @bob     12.50 USD\n" +
			"> @us…  1,000.00 USD",
	} {
		table.Width = width
		if got := table.Draw(); got != want {
			t.Errorf("%d columns:\n%s\nwant\n%s", width, got, want)
		}
	}
}

func TestATableScrolls(t *testing.T) {
	table := Table{Columns: []Column{{Title: "N"}}, Width: 6, Height: 4, Selected: 7}
	for _, n := range "0123456789" {
		table.Rows = append(table.Rows, []Cell{{Text: string(n)}})
	}
	table.Offset = ScrollTo(table.Selected, table.Offset, len(table.Rows), table.Height)
	if want := "  N   \n  5  |\n  6  #\n> 7  |"; table.Draw() != want {
		t.Errorf("%s\nwant\n%s", table.Draw(), want)
	}
}

// hostile is untrusted text that could break a screen.
var hostile = rapid.OneOf(
	rapid.String(),
	rapid.StringOfN(rapid.SampledFrom([]rune("a é山\U0001F355\U0001F1E9❤\ufe0f☰\u0301\u200b\u202e\u2066\u200d\x1b[2J\x07\n\r\t\u0085\u009b한ᄒ\U0001F3FDﾞ⸻﷽")), 0, 40, -1),
	rapid.SampledFrom([]string{"\x1b]52;c;aGk=\x07", "\x1b[31mred\x1b[0m", "\u202eevil\u202c", "e\u0301\u0301\u0301\u0301\u0301\u0301", "\xff\xfe", "👩‍👩‍👧", "👍🏽🏽☰", "नमस्ते"}),
)

// exact checks that a block has this size by both ways of counting and contains only text.
func exact(t *rapid.T, name, block string, width, height int) {
	lines := strings.Split(block, "\n")
	if len(lines) != height {
		t.Fatalf("%s: %d lines, not %d:\n%s", name, len(lines), height, block)
	}
	for _, line := range lines {
		if a, b := ansi.StringWidth(line), printable.Width(line); a != width || b != width {
			t.Fatalf("%s: %q is %d or %d columns wide, not %d", name, line, a, b, width)
		}
		if printable.Text(line) != line {
			t.Fatalf("%s: %q", name, line)
		}
	}
}

func TestWidthsAreExact(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		width, height := rapid.IntRange(1, 120).Draw(t, "width"), rapid.IntRange(1, 30).Draw(t, "height")
		detail := rapid.SampledFrom([]Detail{ASCII, Blocks, Braille}).Draw(t, "detail")
		text := func(name string) string { return hostile.Draw(t, name) }
		a, b := text("a"), text("b")
		exact(t, "Fit", Fit(a, width), width, 1)
		exact(t, "FitRight", FitRight(a, width), width, 1)
		exact(t, "Panel", Panel([]Pair{{Name: a, Value: b}, {Name: b, Value: a}}, width, nil), width, 2)
		exact(t, "Gauge", Gauge(rapid.Int64().Draw(t, "part"), rapid.Int64().Draw(t, "whole"), width, detail), width, 1)
		exact(t, "Box", Box{Title: a, Note: b, Body: Text(a) + "\n" + Text(b), Width: width, Height: height, Detail: detail}.Draw(), width, height)
		values := rapid.SliceOfN(rapid.Float64(), 0, 300).Draw(t, "values")
		exact(t, "Plot", Plot{
			Area: values, Line: rapid.SliceOfN(rapid.Float64(), 0, 300).Draw(t, "line"), Newest: rapid.Int64Range(-10, 1<<40).Draw(t, "newest"),
			Span: rapid.IntRange(0, 2000).Draw(t, "span"), Width: width, Height: height, Detail: detail, Mean: rapid.Bool().Draw(t, "mean"), Log: rapid.Bool().Draw(t, "log"),
			Above: rapid.Bool().Draw(t, "above"), Join: rapid.IntRange(0, 20).Draw(t, "join"), Ago: a,
			Format: func(v float64) string { return strconv.FormatFloat(v, 'g', 4, 64) + b },
		}.Draw(), width, height)
		for _, line := range Wrap(a, width) {
			if ansi.StringWidth(line) > width {
				t.Fatalf("Wrap: %q", line)
			}
		}

		table := Table{Width: width, Height: height, Detail: detail, Selected: rapid.IntRange(-1, 40).Draw(t, "selected")}
		for range rapid.IntRange(1, 6).Draw(t, "columns") {
			table.Columns = append(table.Columns, Column{Title: text("title"), Right: rapid.Bool().Draw(t, "right"),
				Cut: rapid.IntRange(0, 9).Draw(t, "cut"), Drop: rapid.IntRange(0, 3).Draw(t, "drop")})
		}
		for range rapid.IntRange(0, 40).Draw(t, "rows") {
			var row []Cell
			for range table.Columns {
				row = append(row, Cell{Text: rapid.SampledFrom([]string{a, b, "", "short"}).Draw(t, "cell")})
			}
			table.Rows = append(table.Rows, row)
		}
		table.Offset = ScrollTo(table.Selected, rapid.IntRange(-5, 50).Draw(t, "offset"), len(table.Rows), height)
		exact(t, "Table", table.Draw(), width, height)
	})
}

// TestNumbersAreNotWrapped at the spaces between their thousands.
func TestNumbersAreNotWrapped(t *testing.T) {
	for text, want := range map[string]string{
		"then 1 456.44 EUR":     "then|1 456.44|EUR",
		"pay 12 3456":           "pay 12|3456",
		"table 7 123 tables":    "table|7 123|tables",
		"the 5 second 2 minute": "the 5|second 2|minute",
	} {
		if got := strings.Join(Wrap(text, 9), "|"); got != want {
			t.Errorf("%q: %q, want %q", text, got, want)
		}
	}
	if got := strings.Join(Wrap("a 12 345 678 b", 10), "|"); got != "a|12 345 678|b" {
		t.Errorf("%q", got)
	}
}
