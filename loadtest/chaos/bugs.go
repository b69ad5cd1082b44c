package main

// bugs are planted in kizod with fault.Planted, one at a time. Some would do harm;
// others are stopped by the tables, and noticed by that ("http", "database").
var bugs = []bug{
	{"key_ignored", "a key never stands for anything", bankOnly, 0},
	{"key_after_funds", "funds are looked at before the key", bankOnly, 0},
	{"fingerprint_ignored", "a key answers for another body", bankOnly, 0},
	{"refusal_not_sticky", "a refusal is told and not stored", bankOnly, 0},
	{"hold_ignored", "pending money stays free to spend", bankOnly, 0},
	{"overdraft", "funds are not looked at", bankOnly, 0},
	{"captured_twice", "an authorization that has ended is captured", bankOnly, 0},
	{"missing_posting", "money leaves and does not arrive", bankOnly, 0},
	{"unbalanced_amount", "a minor unit more arrives than leaves", bankOnly, 0},
	{"event_forgotten", "a voided transfer leaves no event", bankOnly, 0},
	{"unlocked_read", "accounts are read without their locks", bankOnly, 0},
	{"ack_before_commit", "the answer does not wait for the COMMIT", cutting, 0},
	{"commit_unknown_is_failure", "a COMMIT without an answer is told as nothing done", cutting, 0},
	{"commit_unknown_blind_retry", "a COMMIT without an answer is repeated under another key", cutting, 0},
	{"no_fence", "whoever was overtaken settles all the same", zombies, 0},
	{"finalise_without_state_check", "what has ended is settled again", cutting, 0},
	{"double_credit_on_replayed_settlement", "the bank's second word on a deposit credits it again", bankOnly, 0},
	{"hint_only", "no janitor drives payments", noRedis, 0},
	{"lease_never_expires", "a dead worker keeps its payments", killing, 0},
	{"lease_ignored", "the janitor takes what others are at", bankOnly, 0},
	{"void_on_timeout", "no answer in time is a no", bankOnly, 0},
	{"five_hundred_is_rejection", "the bank's 5xx is a no", bankOnly, 0},
	{"not_found_is_rejection", "a ref that the bank has not seen is a no", bankOnly, 0},
	{"cut_line_is_success", "a line that is cut is a yes", bankOnly, 0},
	{"new_ref_on_retry", "each attempt has a ref of its own", bankOnly, 0},
	{"release_hold_on_review", "a payment up for review is voided", bankOnly, 0},
	{"submit_believed", "what Submit answers is not confirmed", bankOnly, 0.2},
	{"difference_forgotten", "a lie is noticed and not recorded", bankOnly, 0.2},
}
