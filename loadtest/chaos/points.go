package main

// points are the failpoints of kizod (server/failpoint). A run of a minute or more passes
// each of them, but for those in rarePoints.
var points = []string{
	"ledger.enqueue", "ledger.before_retry",
	"ledger.locked", "ledger.before_commit", "ledger.after_commit", "ledger.settle", "ledger.expire", "ledger.wallet_opened",
	"ledger.system_account_opened", "ledger.batch_failed",
	"api.transfer", "api.transfer_done", "api.batch", "api.batch_done", "api.follow_up", "api.follow_up_done", "api.before_enqueue",
	"api.after_enqueue", "api.signed_up",
	"auth.hashed", "auth.user_inserted", "auth.signed_up", "auth.logged_in",
	"auth.refresh_locked", "auth.refresh_used", "auth.refreshed", "auth.before_logout",
	"auth.logged_out",
	"settle.before_enqueue", "settle.enqueued", "settle.flush", "settle.worker_starts",
	"settle.worker_stops", "settle.task", "settle.enqueue_again", "settle.before_claim",
	"settle.claimed", "settle.before_renew", "settle.before_status", "settle.before_submit",
	"settle.before_confirm", "settle.after_submit", "settle.before_finish", "settle.finished",
	"settle.before_postpone", "settle.postponed", "settle.before_review", "settle.reviewed",
	"settle.callback", "settle.callback_noted", "settle.statement_read", "settle.statement_kept",
	"settle.before_close",
	"janitor.round", "janitor.claimed", "janitor.drive", "janitor.expire",
	"server.connected", "server.listening", "server.assembled", "server.draining",
	"server.api_stopped", "server.work_stopped", "server.drained",
	"kizod.before_ready_file", "notices.stored",
	"migrate.locked", "migrate.applied",
}

var rarePoints = []string{"ledger.batch_failed"}
