// Package mail sends mail to users: codes that they asked for, and notices.
//
//	API ─► Queue ─► Redis (queue "mail") ─► Worker ─► compose ─► limits ─► Sender
//	                  no secrets              │ makes the code            ├─ SMTP: a mail server
//	                                          ▼                           └─ Mailbox: kizod dev
//	                                      server/auth
//
// # Overview
//
// A request for a mail becomes a [Task]. Its user is looked up by the worker, so that neither the
// answer nor its time reveals whether the user exists. The worker makes the code when it sends the
// mail: a code is neither in Redis nor in a log.
//
// Notices (notices.go) begin at the other end: the worker looks every few seconds for users with
// notices that are due, and asks the queue for one mail for each of them. It is composed when it is
// sent, of all that is due by then, and repeats no text that a client has sent.
//
// # Failures
//
// A mail that the server does not accept is retried after 2 s to 2 min, for 15 minutes from its
// request; then it is of no use, and the user asks again. An answer of 500 or more to the message
// or its recipient ends the attempts. The loss of Redis loses the mail in it.
//
// # Limits
//
// One address gets at most 10 mails in an hour: others are dropped. All processes together send at
// most WorkerConfig.Rate mails in a minute: others wait. A user gets at most one mail with notices
// in ten minutes. Notices wait for both limits, and are given up after a day.
//
// The package may import auth and notices, and knows nothing of HTTP or money.
package mail
