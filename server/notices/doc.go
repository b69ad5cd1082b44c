// Package notices tells users what happened to their accounts: an inbox for each user.
//
//	change of access ─► security_events ─ trigger, same transaction ──┐
//	                                                                  ▼
//	payment ─► ledger ─ events ─► Watcher ─ one transaction ──────► notices ─► Inbox ─► API
//	                                │       with the cursor              └─► Digest ─► server/mail
//	                                └─ known_payees, step_up_thresholds
//
// # Overview
//
// [Inbox] lists the notices of a user, newest first, and marks them as read. A notice of a security
// event is a row that the database adds when the event is inserted (migrations/0030_notices.sql):
// no statement can forget it, and it costs payments nothing. [SecurityNotices] has the text of each
// such notice and [WithoutNotice] the reasons why the other events make none; a test compares both
// with the database.
//
// [Watcher] makes the notices about payments. It reads the events of the ledger after the fact, so
// that a payment neither waits for it nor costs a statement more.
//
// # Bounds
//
// A user has at most 250 notices about the account and 250 about payments; older ones are deleted,
// and all after 180 days. In 24 hours, a user gets at most 20 notices of one kind about payments.
// The security events of the user are kept independently of that.
//
// The package runs SQL. It knows nothing of HTTP or queues.
package notices
