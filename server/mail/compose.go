package mail

import (
	"cmp"
	"context"
	"fmt"

	"github.com/JDevAman/kizo/server/auth"
)

// compose returns the mail of a task, or a zero Message if there is nothing to send. It makes the
// code that the mail contains.
func (w *Worker) compose(ctx context.Context, t Task) (Message, error) {
	switch t.Kind {
	case PasswordReset:
		code, err := w.config.Auth.MailResetCode(ctx, t.ID, t.Login, t.client())
		if err != nil || code.Code == "" {
			return Message{}, err
		}
		return codeMail(code, "Your code to choose a new Kizo password", fmt.Sprintf(`A person, probably you, wants to choose a new password for @%s. This is the code:

    %s

It is valid for 10 minutes, and works once:

    kizo password reset %s

Kizo asks for the code nowhere else, and its operators never ask for it.

If you did not ask for it, you can ignore this mail: your password stays as it is.
`, code.Handle, code.Code, code.Handle)), nil
	case VerifyEmail, ChangeEmail:
		code, err := w.config.Auth.EmailCode(ctx, t.ID, auth.UserID(t.User), t.Kind == ChangeEmail)
		if err != nil || code.Code == "" {
			return Message{}, err
		}
		return codeMail(code, "Your code to verify this e-mail address", fmt.Sprintf(`With this code, @%s confirms this e-mail address to Kizo:

    %s

It is valid for 10 minutes, and works once:

    kizo email confirm

If you do not know what this is about, ignore this mail: another person may have mistyped an address.
`, code.Handle, code.Code)), nil
	case EmailChangeRequested:
		return noticeMail(t, "A new e-mail address for your Kizo account", "A change of the e-mail address of @"+t.Handle+" was requested. It takes effect when it is confirmed with a code that was mailed to the new address."), nil
	case EmailChanged:
		return noticeMail(t, "The e-mail address of your Kizo account has changed", "The e-mail address of @"+t.Handle+" has changed. This address is no longer that of the account."), nil
	case AccountClosed:
		return Message{To: t.To, Subject: "Your Kizo account is closed", Body: fmt.Sprintf(`Hello @%s,

Your account is closed, and this address is deleted from it. Kizo sends no further mail.

The request came from the network address %s. If this was not you, tell the operators of the server.
`, t.Handle, cmp.Or(t.Address, "(not known)"))}, nil
	}
	w.config.Logger.Error("there is no such kind of mail", "kind", auth.EventText(string(t.Kind)))
	return Message{}, nil
}

func codeMail(code auth.MailedCode, subject, body string) Message {
	return Message{To: code.Email, Subject: subject, Body: fmt.Sprintf("Hello @%s,\n\n%s", code.Handle, body)}
}

func noticeMail(t Task, subject, body string) Message {
	return Message{To: t.To, Subject: subject, Body: fmt.Sprintf(`Hello @%s,

%s

The request came from the network address %s.

If this was not you, stop all payments of the account at once, and change the password:

    kizo freeze-me --yes
    kizo password change
`, t.Handle, body, cmp.Or(t.Address, "(not known)"))}
}
