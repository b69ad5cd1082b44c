package theme

// The texts of onDark are for backgrounds from black to Nord's #2e3440, those of onLight from white to Solarized's
// #fdf6e3 and a grey of #f0f0f0. The test counts each pair.
var (
	onDark = palette{
		dim:      colour{"#a6adba", "248", "7"},
		title:    colour{"#e8eaf0", "255", "15"},
		accent:   colour{"#7dcfff", "117", "14"},
		border:   colour{"#949cab", "247", "7"},
		good:     colour{"#8fd694", "114", "10"},
		warn:     colour{"#ffc66d", "221", "11"},
		bad:      colour{"#ff9b9b", "217", "9"},
		selected: ground{colour{"#ffffff", "231", "15"}, colour{"#1f4e79", "24", "4"}},
		field:    ground{colour{"#ffffff", "231", "15"}, colour{"#3a4150", "238", "0"}},
		goodOn:   ground{colour{"#08130a", "16", "0"}, colour{"#8fd694", "114", "10"}},
		warnOn:   ground{colour{"#1a1200", "16", "0"}, colour{"#ffc66d", "221", "11"}},
		badOn:    ground{colour{"#ffffff", "231", "15"}, colour{"#b3261e", "124", "1"}},
	}
	onLight = palette{
		dim:      colour{"#555b66", "240", "0"},
		title:    colour{"#12151c", "233", "0"},
		accent:   colour{"#004f8c", "24", "4"},
		border:   colour{"#666c78", "241", "0"},
		good:     colour{"#0b5e1e", "22", "2"},
		warn:     colour{"#734300", "94", "1"},
		bad:      colour{"#a3120a", "124", "1"},
		selected: ground{colour{"#ffffff", "231", "15"}, colour{"#1f4e79", "24", "4"}},
		field:    ground{colour{"#12151c", "233", "0"}, colour{"#dfe3ea", "254", "7"}},
		goodOn:   ground{colour{"#ffffff", "231", "15"}, colour{"#0b5e1e", "22", "0"}},
		warnOn:   ground{colour{"#1a1200", "16", "0"}, colour{"#ffc66d", "221", "11"}},
		badOn:    ground{colour{"#ffffff", "231", "15"}, colour{"#a3120a", "124", "1"}},
	}
	strongOnDark = palette{
		dim:      colour{"#ffffff", "231", "15"},
		title:    colour{"#ffffff", "231", "15"},
		accent:   colour{"#00ffff", "51", "14"},
		border:   colour{"#ffffff", "231", "15"},
		good:     colour{"#7dff7d", "120", "10"},
		warn:     colour{"#ffff5f", "227", "11"},
		bad:      colour{"#ffd0d0", "224", "15"},
		selected: ground{colour{"#000000", "16", "0"}, colour{"#ffff00", "226", "11"}},
		field:    ground{colour{"#000000", "16", "0"}, colour{"#ffffff", "231", "15"}},
		goodOn:   ground{colour{"#000000", "16", "0"}, colour{"#7dff7d", "120", "10"}},
		warnOn:   ground{colour{"#000000", "16", "0"}, colour{"#ffff5f", "227", "11"}},
		badOn:    ground{colour{"#000000", "16", "0"}, colour{"#ffd0d0", "224", "15"}},
	}
	strongOnLight = palette{
		dim:      colour{"#000000", "16", "0"},
		title:    colour{"#000000", "16", "0"},
		accent:   colour{"#00008b", "18", "4"},
		border:   colour{"#000000", "16", "0"},
		good:     colour{"#004400", "16", "0"},
		warn:     colour{"#4a2b00", "52", "0"},
		bad:      colour{"#7a0000", "52", "0"},
		selected: ground{colour{"#ffffff", "231", "15"}, colour{"#000000", "16", "0"}},
		field:    ground{colour{"#ffffff", "231", "15"}, colour{"#00008b", "18", "4"}},
		goodOn:   ground{colour{"#ffffff", "231", "15"}, colour{"#004400", "22", "0"}},
		warnOn:   ground{colour{"#ffffff", "231", "15"}, colour{"#4a2b00", "52", "0"}},
		badOn:    ground{colour{"#ffffff", "231", "15"}, colour{"#7a0000", "52", "0"}},
	}
)
