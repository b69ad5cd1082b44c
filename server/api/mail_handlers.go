package api

import (
	"context"

	"github.com/google/uuid"

	"github.com/JDevAman/kizo/openapi"
	"github.com/JDevAman/kizo/server/api/internal/routes"
	"github.com/JDevAman/kizo/server/auth"
	"github.com/JDevAman/kizo/server/mail"
)

// MailResetCode asks for a mail with a reset code. It looks up no user: a worker does.
func (a *API) MailResetCode(ctx context.Context, r routes.MailResetCodeRequestObject) (routes.MailResetCodeResponseObject, error) {
	if a.mail == nil {
		return nil, noMail()
	}
	client := requestOf(ctx).client
	login, err := a.auth.CountResetRequest(ctx, r.Body.Login, client.Address)
	if err != nil {
		return nil, err
	}
	task := newMailTask(mail.PasswordReset, client)
	task.Login = login
	a.mail(task)
	return routes.MailResetCode204Response{}, nil
}

// MailEmailCode asks for a mail with a code that verifies the user's own address.
func (a *API) MailEmailCode(ctx context.Context, _ routes.MailEmailCodeRequestObject) (routes.MailEmailCodeResponseObject, error) {
	if a.mail == nil {
		return nil, noMail()
	}
	task := newMailTask(mail.VerifyEmail, requestOf(ctx).client)
	task.User = uuid.UUID(userID(ctx))
	wanted, err := a.auth.RequestEmailCode(ctx, userID(ctx), task.ID)
	if err != nil {
		return nil, err
	}
	if wanted {
		a.mail(task)
	}
	return routes.MailEmailCode204Response{}, nil
}

// ChangeEmail asks for another address, and for the mails to both.
func (a *API) ChangeEmail(ctx context.Context, r routes.ChangeEmailRequestObject) (routes.ChangeEmailResponseObject, error) {
	if a.mail == nil {
		return nil, noMail()
	}
	var (
		who     = requestOf(ctx)
		task    = newMailTask(mail.ChangeEmail, who.client)
		present string
		err     error
	)
	task.User = uuid.UUID(who.principal.UserID)
	a.admission.releaseWhile(func() {
		present, err = a.auth.ChangeEmail(ctx, who.principal, auth.ChangeEmailInput{
			Email: r.Body.Email, Password: r.Body.Password, OTP: r.Body.Otp, Request: task.ID, Client: who.client,
		})
	})
	if err != nil {
		return nil, err
	}
	a.mail(task)
	a.mailEarlier(ctx, mail.EmailChangeRequested, present)
	return routes.ChangeEmail204Response{}, nil
}

// ConfirmEmail verifies or changes the user's address with a mailed code.
func (a *API) ConfirmEmail(ctx context.Context, r routes.ConfirmEmailRequestObject) (routes.ConfirmEmailResponseObject, error) {
	done, err := a.auth.ConfirmEmail(ctx, requestOf(ctx).principal, r.Body.Code, requestOf(ctx).client)
	if err != nil {
		return nil, err
	}
	a.mailEarlier(ctx, mail.EmailChanged, done.Earlier)
	return routes.ConfirmEmail200JSONResponse(viewUser(done.User)), nil
}

// mailEarlier asks for a mail to the earlier address of the user, if it was verified.
func (a *API) mailEarlier(ctx context.Context, kind mail.Kind, address string) {
	if address == "" || a.mail == nil {
		return
	}
	task := newMailTask(kind, requestOf(ctx).client)
	task.User, task.To, task.Handle = uuid.UUID(userID(ctx)), address, requestOf(ctx).principal.Handle
	a.mail(task)
}

func newMailTask(kind mail.Kind, client auth.Client) mail.Task {
	task := mail.NewTask(kind)
	task.Address, task.Client = client.Address, client.UserAgent
	return task
}

func noMail() error {
	return reject(openapi.NoMail, "", "this server sends no mail: ask an operator")
}
