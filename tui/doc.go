// Package tui is Kizo's dashboard: balances, transfers, queues and health, live in a terminal.
//
//	            feed (feed.go) ── events, summaries, connection state ──┐
//	                                                                    ▼
//	terminal ── keys, mouse ──► model.Update (root.go) ──► screen.update ── tea.Cmd ──► server
//	    ▲                          │ key (frame.go) ──► binding.run
//	    └──────── frame ───────────┴── View: header, page or overlay, footer
//
// The model has five pages: Wallet, Transfers, Send, Queues and Health. A page, an overlay (the
// palette, the help, a confirmation) and the log-in are each a screen (shared.go). A screen draws
// what is known; requests run as commands, and their answers come back as messages.
//
// # Keys
//
// A key is bound by a binding (keys.go) in the keys method of the screen where it works, and by
// model.globalBindings (frame.go) if it works on every page:
//
//	Wallet       wallet.go          walletScreen.keys
//	Transfers    transfersview.go   transfersScreen.keys
//	Send         sendview.go        sendScreen.keys
//	Queues       queuesview.go      queuesScreen.keys
//	Health       books.go           healthScreen.keys
//	palette, ?   palette.go         searchScreen.keys
//	review       reviewdialog.go    reviewDialog.keys
//	payees       payees.go          payeesScreen.keys
//	results      books.go           resultScreen.keys
//	notices      notices.go         noticesScreen.keys
//	activity log activity.go        activityScreen.keys
//	log-in       login.go           loginScreen.keys
//	text fields  field.go           textField.keys
//	everywhere   frame.go           model.globalBindings
//
// The user may replace keys of pages, and add commands (keymap.go, command.go): model.keysOf and
// model.globalKeys return the bindings that work.
//
// The footer, the help and the palette show these bindings, so that every key that they show works.
// model.key (frame.go) looks a key up: first in the focused screen, then in the global keys.
//
// # Safety
//
// A binding that is off does nothing but say why: the footer leaves it out, help and palette
// show it dimmed.
//
// Pressing the same key twice never moves money and never changes what an operator manages: every
// such action has a review that only another key confirms. Text from the server is cleaned by
// package printable when it is drawn. Money moves through Config.Move, which records a command
// before it sends it.
//
// The package imports client, money and the packages below it; it imports no package of the server.
package tui
