// Package books writes the history of a user's wallets as text for other programs:
//
//	client.Event ─► Book.Add ─► Entry ─► Format.Entry ─► hledger, ledger, beancount, csv, jsonl
//	                  │           │
//	                  │           └────► NewOFX ─► bank statements
//	                  └ balance and held amount of each wallet
//
// # Entries
//
// A Book reads the events of a user from the first one on. An Entry is an event that changed the
// balance of a wallet or what is held in it; refusals and incoming pending transfers are none. It
// has both changes and both amounts after it, in minor units. The Book keeps no entries, so that
// its size does not depend on the length of the history.
//
// # Accounts
//
// A journal has these accounts for each currency, here in the spelling of hledger and ledger:
//
//	assets:kizo:USD         what is available
//	assets:kizo:USD:held    what is held for pending authorizations and withdrawals
//	assets:bank             the other side of deposits and withdrawals
//	income:kizo             transfers from other users, minus what was sent back
//	expenses:kizo           transfers to other users, minus what came back
//	equity:opening-balances what a wallet had before the first entry of a part of the history
//
// A hold moves money from the wallet to its subaccount, and its end moves it back, so that the
// wallet with its subaccount has the balance that the API returns. Kizo charges no fees.
//
// # Dates and text
//
// The date of an entry is that of its time in UTC. Each journal states the balances after each
// entry (hledger, ledger) or at the beginning of each day with entries (beancount), and the program
// that reads it compares them. Text of users, such as memos, is written by package printable, and
// without the characters that have a meaning in the format. The text of an entry depends on nothing
// but the events up to it, so that writing it again gives the same bytes.
//
// The package may import client, money and internal/printable, and nothing else of Kizo.
package books
