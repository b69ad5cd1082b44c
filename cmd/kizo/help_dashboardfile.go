package main

const dashboardFileHelp = `The file kizo/dashboard.toml in $XDG_CONFIG_HOME (~/.config) changes the dashboard. All of it is optional, and
kizo refuses a file with anything else in it.

  theme = "nord"            # auto, dark, dusk, light, paper, high-contrast, mono, catppuccin, gruvbox,
                            # solarized, nord, or a skin; --theme overrides it
  start = "Transfers"       # the first screen
  reduced_motion = true     # no row is highlighted when it changes

  [filters]                 # tabs of the list of transfers
  refused = "state:refused since:7d"

  [keys.everywhere]         # a default key, and the key or keys in its place
  q = "ctrl+q"
  [keys.transfers]          # or wallet, send, queues, health
  C = ["ctrl+t", "f9"]

  [skins.mine]              # a theme of your own
  base = "nord"             # a theme, with other colors for some roles: dim, title, accent, border, good,
  good = "#a3ffa3"          # warn, bad; and with a background: selected, field, good_badge, warn_badge,
  selected = "#ffffff on #1f4e79"                               # bad_badge

  [[commands]]              # a program that a key runs on the selected row
  key = "O"
  screen = "transfers"      # or another screen, or everywhere
  name = "show the order"
  run = ["orders", "show", "--", "{memo}"]

? in the dashboard lists the default keys. A key with two meanings on one screen is refused, and so are ctrl+c
and y, which confirms in dialogs. Dialogs, text fields, the palette and the log-in keep their keys. A key is
x, X, ctrl+x, alt+x, f1 to f12, enter, esc, space, tab, up, down, left, right, home, end, pgup, pgdown,
backspace, delete or insert.

A command gets {transfer}, {state}, {amount}, {currency}, {handle} and {memo} of the selected row in its arguments,
and as KIZO_SELECTED_TRANSFER and so on in its environment. No shell reads them, they have no control characters,
and one that begins with - is refused unless "--" comes before it. The environment has the settings of kizo, and no
secret. Do not put a placeholder into the code of a shell: "sh", "-c", "… {memo}" would run what others write;
"sh", "-c", "… \"$KIZO_SELECTED_MEMO\"" does not.`
