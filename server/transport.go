package server

import (
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/url"
	"strings"

	"github.com/hibiken/asynq"
	"github.com/jackc/pgx/v5"
)

// AcceptPlainTextFlag is the flag of kizod that sets Config.AcceptPlainText.
const AcceptPlainTextFlag = "i-accept-plain-text-passwords"

// checkTransport returns an error if passwords, tokens or payments would cross a network
// unencrypted, and logs a warning for each other connection that is not encrypted.
func (c Config) checkTransport(log *slog.Logger) error {
	var refusals []error
	for _, found := range c.plainTransport() {
		if found.refused && !c.AcceptPlainText {
			refusals = append(refusals, fmt.Errorf("%s; %s, or accept it with --%s", found.what, found.instead, AcceptPlainTextFlag))
			continue
		}
		log.Warn(found.what, "instead", found.instead)
	}
	return errors.Join(refusals...)
}

// plainPath is a network connection that is not encrypted.
type plainPath struct {
	what, instead string
	refused       bool // unless the operator accepts it
}

func (c Config) plainTransport() (found []plainPath) {
	if c.servesClients() && c.Certificate == nil && len(c.TrustedProxies) == 0 && !loopback(c.listenHost()) {
		found = append(found, plainPath{
			"the API listens beyond loopback without TLS: passwords and tokens can be read on the network",
			"set --tls-cert and --tls-key, listen on 127.0.0.1 behind a proxy that terminates TLS, or name the proxy with --trusted-proxies", true,
		})
	}
	if bank, err := url.Parse(c.BankURL); err == nil && bank.Scheme == "http" && !loopback(bank.Hostname()) {
		if c.BankToken != "" {
			found = append(found, plainPath{"the bank is reached over plain HTTP: its token can be read and payments changed on the network", "use https", true})
		} else {
			found = append(found, plainPath{"the bank is reached over plain HTTP: payments can be changed on the network", "use https", false})
		}
	}
	if PlainDatabase(c.DatabaseURL) {
		found = append(found, plainPath{PlainDatabaseWarning, "add sslmode=verify-full to the database URL", false})
	}
	return append(found, plainRedis(c.Redis)...)
}

func (c Config) servesClients() bool {
	for _, role := range c.Roles {
		if role == RoleAPI || role == RoleAuth {
			return true
		}
	}
	return false
}

// listenHost returns the host of the API's address; "" means every address of this host.
func (c Config) listenHost() string {
	address := c.Listen
	if c.Listener != nil {
		address = c.Listener.Addr().String()
	}
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return "" // listening on the address will fail
	}
	return host
}

// PlainDatabaseWarning is the warning for a URL for which PlainDatabase returns true.
const PlainDatabaseWarning = "the connection to PostgreSQL may be unencrypted"

// PlainDatabase reports whether a PostgreSQL URL allows an unencrypted connection to another
// host, as sslmode=disable, allow and prefer do. Prefer is the default.
func PlainDatabase(databaseURL string) bool {
	config, err := pgx.ParseConfig(databaseURL)
	if err != nil {
		return false // the caller refuses the URL when it connects
	}
	plain := config.TLSConfig == nil && !localDatabase(config.Host)
	for _, other := range config.Fallbacks {
		plain = plain || other.TLSConfig == nil && !localDatabase(other.Host)
	}
	return plain
}

// localDatabase reports whether a host of PostgreSQL is a unix socket or loopback.
func localDatabase(host string) bool {
	return strings.HasPrefix(host, "/") || strings.HasPrefix(host, "@") || loopback(host)
}

func plainRedis(to asynq.RedisConnOpt) (found []plainPath) {
	var (
		addresses []string
		password  string
		encrypted bool
	)
	switch o := to.(type) {
	case asynq.RedisClientOpt:
		if o.Network == "unix" {
			return nil
		}
		addresses, password, encrypted = []string{o.Addr}, o.Password, o.TLSConfig != nil
	case asynq.RedisFailoverClientOpt:
		addresses, password, encrypted = o.SentinelAddrs, o.Password, o.TLSConfig != nil
	case asynq.RedisClusterClientOpt:
		addresses, password, encrypted = o.Addrs, o.Password, o.TLSConfig != nil
	}
	local := true
	for _, address := range addresses {
		host, _, err := net.SplitHostPort(address)
		local = local && err == nil && loopback(host)
	}
	if local {
		return nil
	}
	if password == "" {
		found = append(found, plainPath{"Redis on another host requires no password: anyone who reaches it can change the queues", "set requirepass and write redis://:PASSWORD@host", false})
	}
	if !encrypted {
		found = append(found, plainPath{"Redis on another host is reached without TLS", "write rediss:// in place of redis://", false})
	}
	return found
}
