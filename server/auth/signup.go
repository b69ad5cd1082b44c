package auth

import (
	"context"
	"fmt"
	"log/slog"

	"github.com/jackc/pgx/v5"

	"github.com/JDevAman/kizo/server/failpoint"
	"github.com/JDevAman/kizo/server/pgerr"
	"github.com/JDevAman/kizo/server/problem"
)

// SignUpInput contains the data of a new user. Formatting it does not show the password.
type SignUpInput struct {
	Email    string
	Handle   string // with or without the @
	Name     string
	Password string
	Client   Client
}

// Format omits the password for every verb of fmt.
func (in SignUpInput) Format(f fmt.State, _ rune) {
	fmt.Fprintf(f, "auth.SignUpInput(@%q, password %s)", in.Handle, redacted)
}

// LogValue omits the password from logs.
func (in SignUpInput) LogValue() slog.Value { return slog.StringValue(fmt.Sprint(in)) }

const sqlInsertUser = `
INSERT INTO users (id, email, handle, name, name_key, password_hash, pepper_id, created_at, updated_at)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $8)`

// SignUp creates a user and opens their first session. It does not reveal whether the e-mail
// address is in use: any number of users may sign up with one that they have not verified.
func (s *Service) SignUp(ctx context.Context, in SignUpInput) (Tokens, User, error) {
	user, err := newUser(in)
	if err != nil {
		return Tokens{}, User{}, err
	}
	user.CreatedAt = s.now()
	// Hash before the queries, so that a taken handle takes as long as a free one.
	stored, err := s.hashNew(ctx, user.Email, in.Password)
	if err != nil {
		return Tokens{}, User{}, fmt.Errorf("sign up: %w", err)
	}
	_ = failpoint.Point("auth.hashed")
	var tokens Tokens
	err = pgx.BeginFunc(ctx, s.pool, func(tx pgx.Tx) error {
		_, err := tx.Exec(ctx, sqlInsertUser, user.ID, user.Email, user.Handle, user.Name,
			nameKey(user.Name), stored.phc, stored.pepperID, user.CreatedAt)
		if err != nil {
			return taken(err)
		}
		_ = failpoint.Point("auth.user_inserted")
		if tokens, err = s.openSession(ctx, tx, user, in.Client, nil, false); err != nil {
			return err
		}
		return s.signedIn(ctx, tx, EventSignedUp, user.ID, &tokens, in.Client, "")
	})
	if err != nil {
		return Tokens{}, User{}, fmt.Errorf("sign up: %w", err)
	}
	_ = failpoint.Point("auth.signed_up")
	s.events.write(ctx, EventSignedUp, append([]slog.Attr{slog.String("user", user.Handle)}, clientAttrs(in.Client)...)...)
	return tokens, user, nil
}

// signedIn records that a session was opened, in the transaction that opens it. It adds a device
// token to the tokens if the device is new.
func (s *Service) signedIn(ctx context.Context, tx pgx.Tx, event SecurityEvent, userID UserID, tokens *Tokens, client Client, detail string) (err error) {
	if err := s.throttle.rememberAddress(ctx, tx, userID, client.Address); err != nil {
		return err
	}
	if tokens.DeviceToken, err = s.useDevice(ctx, tx, userID, tokens.SessionID, client); err != nil {
		return err
	}
	if tokens.DeviceToken != "" && event != EventSignedUp { // the first device is no news
		if err := s.record(ctx, tx, EventNewDevice, userID, tokens.SessionID, client, ""); err != nil {
			return err
		}
	}
	return s.record(ctx, tx, event, userID, tokens.SessionID, client, detail)
}

// logNewDevice logs a log-in on a device that was not known.
func (s *Service) logNewDevice(ctx context.Context, user User, tokens Tokens, client Client) {
	if tokens.DeviceToken != "" {
		s.events.write(ctx, EventNewDevice, append([]slog.Attr{slog.String("user", user.Handle)}, clientAttrs(client)...)...)
	}
}

func (s *Service) hashNew(ctx context.Context, email, password string) (storedPassword, error) {
	ticket, err := s.hashQueue.enter()
	if err != nil {
		return storedPassword{}, err
	}
	defer ticket.leave()
	return s.keyring().passwords.hash(ctx, ticket, email, password)
}

func newUser(in SignUpInput) (user User, err error) {
	user = User{ID: UserID(newID()), Role: RoleUser, Status: StatusActive, FindableByEmail: true}
	if user.Email, err = normalEmail(in.Email); err != nil {
		return User{}, err
	}
	if user.Handle, err = normalHandle(in.Handle); err != nil {
		return User{}, err
	}
	if user.Name, err = normalName(in.Name); err != nil {
		return User{}, err
	}
	if err := checkHandleFree(user.Handle); err != nil {
		return User{}, err
	}
	if reservedName(user.Name) {
		return User{}, errNameReserved()
	}
	if err := checkPassword(in.Password); err != nil {
		return User{}, err
	}
	return user, checkPasswordStrength(in.Password, user)
}

// taken replaces a unique violation by the refusal for that index: the handle is taken, or
// another user has verified the same e-mail address.
func taken(err error) error {
	switch pgerr.ViolatedUnique(err) {
	case "users_email":
		return &problem.Error{Code: CodeEmailTaken, Message: "another user has verified this e-mail address", Field: "email"}
	case "users_handle", "users_handle_reserved":
		return &problem.Error{Code: CodeHandleTaken, Message: "this handle belongs to another user already", Field: "handle"}
	}
	return err
}
