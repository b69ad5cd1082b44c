package notices

import (
	"github.com/JDevAman/kizo/money"
	"github.com/JDevAman/kizo/server/auth"
)

// text is what a notice says.
type text struct {
	title  string // a sentence without its period
	advice string // what to do if it was not the user; "" for the general advice
}

// What a user does who did not do what a notice says.
const (
	ifNotYou       = "If this was not you: kizo freeze-me --yes stops all money at once. Then kizo sessions revoke --others, kizo password change."
	ifKeyNotYours  = "If this was not you: kizo keys revoke ID ends the key, kizo freeze-me --yes stops all money at once. Then kizo password change."
	ifGuessed      = "If this was not you, the password was not found. If it goes on, choose a password that you use nowhere else: kizo password change."
	ifCodeGuessed  = "If this was not you, another person knows your password: kizo password change. kizo freeze-me --yes stops all money at once."
	ifPaidByOthers = "If this was not you: kizo freeze-me --yes stops all money at once. Then kizo sessions revoke --others, kizo keys list, kizo password change."
	ifOperator     = "If you do not know why, ask an operator."
	ifFrozen       = "With a second factor you lift it: kizo unfreeze-me. Without one, only an operator does, after they have identified you. First end what another person may have: kizo sessions revoke --others, kizo keys list, kizo password change."
)

// SecurityNotices has the text for each security event that makes a notice.
var SecurityNotices = map[auth.SecurityEvent]text{
	auth.EventLockedOut:              {"Log-ins are blocked for a while after many wrong passwords", ifGuessed},
	auth.EventNewDevice:              {"A new device signed in to your account", ""},
	auth.EventDeviceApproved:         {"You approved the log-in of a device", ""},
	auth.EventRefreshTokenReused:     {"A copy of a session was used, and the session was ended", ""},
	auth.EventSuspended:              {"An operator suspended your account: you cannot log in", ifOperator},
	auth.EventReinstated:             {"An operator reinstated your account: you can log in", ifOperator},
	auth.EventRoleChanged:            {"An operator changed the role of your account", ifOperator},
	auth.EventHandleChanged:          {"Your handle was changed", ""},
	auth.EventDataExported:           {"All data about you was exported", ""},
	auth.EventPasswordChanged:        {"Your password was changed", "If this was not you: kizo password reset HANDLE --mail gives you a code for another one. Then kizo freeze-me --yes, kizo sessions revoke --others."},
	auth.EventFrozen:                 {"Your account was frozen: no money moves from or to it", ifFrozen},
	auth.EventUnfrozen:               {"The freeze of your account was lifted: money moves again", "If you did not do or ask for it: kizo freeze-me --yes stops all money again."},
	auth.EventSecondFactorAdded:      {"The second factor of your account was added or changed", ""},
	auth.EventSecondFactorRemoved:    {"The second factor of your account was removed", ""},
	auth.EventRecoveryCodeUsed:       {"A recovery code was used in place of your second factor", ""},
	auth.EventSecondFactorFailed:     {"Your password was right, and the code of the second factor was wrong", ifCodeGuessed},
	auth.EventStepUpChanged:          {"The amount above which payments need a code was changed", ""},
	auth.EventViewedByOperator:       {"An operator looked at your data", ifOperator},
	auth.EventActionApproved:         {"A second operator approved an action that you asked for", "If you did not ask for it, tell the other operators at once, and: kizo freeze-me --yes."},
	auth.EventKeyCreated:             {"An API key was created", ifKeyNotYours},
	auth.EventKeyRotated:             {"An API key got a new secret", ifKeyNotYours},
	auth.EventKeyRevoked:             {"An API key was revoked", ""},
	auth.EventLimitChanged:           {"A limit of your wallet was changed", ""},
	auth.EventKeyRefused:             {"An API key was refused: it has ended, or was used from another network", ifKeyNotYours},
	auth.EventPasswordResetRequested: {"A code to choose a new password was mailed to you", "If this was not you, you can ignore it: your password stays as it is. Do not give the code to anybody."},
	auth.EventEmailChangeRequested:   {"A change of your e-mail address was requested", ""},
	auth.EventEmailChanged:           {"Your e-mail address was changed", ""},
}

// WithoutNotice has the reason why a stored security event makes no notice.
var WithoutNotice = map[auth.SecurityEvent]string{
	auth.EventSignedUp:       "the user has just done it, and has no other device that could tell",
	auth.EventSignedIn:       "new_device tells about those that are not usual",
	auth.EventSignInFailed:   "one wrong password is a mistake; locked_out tells about many",
	auth.EventSignedOut:      "it takes access away, and gives none",
	auth.EventSessionRevoked: "it takes access away, and gives none; the change that caused it has its own notice",
	auth.EventDeviceDenied:   "the user has refused access, and none was given",
	auth.EventEmailVerified:  "the user has typed the code from the mail; a change of the address is email_changed",
	auth.EventSteppedUp:      "each payment above the threshold has one; the payment has its own notice",
	auth.EventAccountClosed:  "the user cannot read the inbox of a closed account",
	auth.EventStepUpFailed:   "the session exists, and a wrong code is a mistake; the alert KizoCodesGuessed counts them",
}

// Title says what happened, in a sentence without a period.
func (n Notice) Title() string {
	if p := n.Payment; p != nil {
		amount, to := money.Format(p.Amount, money.Currency(p.Currency)), "the bank"
		if p.Payee != "" {
			to = "@" + p.Payee
		}
		if n.Kind == FirstPayment {
			return "First payment to " + to + ": " + amount
		}
		return "Large payment to " + to + ": " + amount
	}
	if t, ok := SecurityNotices[auth.SecurityEvent(n.Kind)]; ok {
		return t.title
	}
	return "Something changed in your account" // by a kizod of a later version
}

// Advice says what to do if the user did not do it.
func (n Notice) Advice() string {
	if n.Payment != nil {
		return ifPaidByOthers
	}
	if t := SecurityNotices[auth.SecurityEvent(n.Kind)]; t.advice != "" {
		return t.advice
	}
	return ifNotYou
}
