package main

import (
	"fmt"

	"github.com/JDevAman/kizo/server/auth"
	"github.com/JDevAman/kizo/server/mail"
)

// mailSender returns the configured mail server, or nil if there is none.
func mailSender(read *settings) (mail.Sender, error) {
	if read.get(mailURL) == "" {
		return nil, nil
	}
	config := mail.SMTPConfig{URL: read.get(mailURL), From: read.get(mailFrom)}
	if path := read.get(mailPassword); path != "" {
		var err error
		if config.Password, err = auth.ReadPrivateLine(path); err != nil {
			return nil, fmt.Errorf("%s: %w", mailPassword.key, err)
		}
	}
	sender, err := mail.NewSMTP(config)
	if err != nil {
		return nil, usageError{fmt.Errorf("%s: %w", mailURL.key, err)}
	}
	return sender, nil
}
