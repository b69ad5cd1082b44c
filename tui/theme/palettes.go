package theme

// The texts of onDark are readable on backgrounds from black to Nord's #2e3440, those of onLight
// from white to Solarized's #fdf6e3 and a gray of #f0f0f0. The test computes the contrast of each
// pair.
var (
	onDark = palette{
		dim:      color{"#a6adba", "248", "7"},
		title:    color{"#e8eaf0", "255", "15"},
		accent:   color{"#7dcfff", "117", "14"},
		border:   color{"#949cab", "247", "7"},
		good:     color{"#8fd694", "114", "10"},
		warn:     color{"#ffc66d", "221", "11"},
		bad:      color{"#ff9b9b", "217", "9"},
		selected: colorPair{color{"#ffffff", "231", "15"}, color{"#1f4e79", "24", "4"}},
		field:    colorPair{color{"#ffffff", "231", "15"}, color{"#3a4150", "238", "0"}},
		goodOn:   colorPair{color{"#08130a", "16", "0"}, color{"#8fd694", "114", "10"}},
		warnOn:   colorPair{color{"#1a1200", "16", "0"}, color{"#ffc66d", "221", "11"}},
		badOn:    colorPair{color{"#ffffff", "231", "15"}, color{"#b3261e", "124", "1"}},
	}
	onLight = palette{
		dim:      color{"#555b66", "240", "0"},
		title:    color{"#12151c", "233", "0"},
		accent:   color{"#004f8c", "24", "4"},
		border:   color{"#666c78", "241", "0"},
		good:     color{"#0b5e1e", "22", "2"},
		warn:     color{"#734300", "94", "1"},
		bad:      color{"#a3120a", "124", "1"},
		selected: colorPair{color{"#ffffff", "231", "15"}, color{"#1f4e79", "24", "4"}},
		field:    colorPair{color{"#12151c", "233", "0"}, color{"#dfe3ea", "254", "7"}},
		goodOn:   colorPair{color{"#ffffff", "231", "15"}, color{"#0b5e1e", "22", "0"}},
		warnOn:   colorPair{color{"#1a1200", "16", "0"}, color{"#ffc66d", "221", "11"}},
		badOn:    colorPair{color{"#ffffff", "231", "15"}, color{"#a3120a", "124", "1"}},
	}
	strongOnDark = palette{
		dim:      color{"#ffffff", "231", "15"},
		title:    color{"#ffffff", "231", "15"},
		accent:   color{"#00ffff", "51", "14"},
		border:   color{"#ffffff", "231", "15"},
		good:     color{"#7dff7d", "120", "10"},
		warn:     color{"#ffff5f", "227", "11"},
		bad:      color{"#ffd0d0", "224", "15"},
		selected: colorPair{color{"#000000", "16", "0"}, color{"#ffff00", "226", "11"}},
		field:    colorPair{color{"#000000", "16", "0"}, color{"#ffffff", "231", "15"}},
		goodOn:   colorPair{color{"#000000", "16", "0"}, color{"#7dff7d", "120", "10"}},
		warnOn:   colorPair{color{"#000000", "16", "0"}, color{"#ffff5f", "227", "11"}},
		badOn:    colorPair{color{"#000000", "16", "0"}, color{"#ffd0d0", "224", "15"}},
	}
	strongOnLight = palette{
		dim:      color{"#000000", "16", "0"},
		title:    color{"#000000", "16", "0"},
		accent:   color{"#00008b", "18", "4"},
		border:   color{"#000000", "16", "0"},
		good:     color{"#004400", "16", "0"},
		warn:     color{"#4a2b00", "52", "0"},
		bad:      color{"#7a0000", "52", "0"},
		selected: colorPair{color{"#ffffff", "231", "15"}, color{"#000000", "16", "0"}},
		field:    colorPair{color{"#ffffff", "231", "15"}, color{"#00008b", "18", "4"}},
		goodOn:   colorPair{color{"#ffffff", "231", "15"}, color{"#004400", "22", "0"}},
		warnOn:   colorPair{color{"#ffffff", "231", "15"}, color{"#4a2b00", "52", "0"}},
		badOn:    colorPair{color{"#ffffff", "231", "15"}, color{"#7a0000", "52", "0"}},
	}
)
