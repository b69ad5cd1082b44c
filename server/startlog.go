package server

import (
	"context"
	"net"
	"strconv"
	"strings"

	"github.com/hibiken/asynq"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/JDevAman/kizo/migrations"
)

// logStart logs, in one line, what runs and which dependencies it uses. The line contains no
// password: bank.NewClient refuses a URL that has one.
func (s *Server) logStart(ctx context.Context) {
	schema, err := migrations.Newest() // migrations.Check has found it in the database
	if err != nil {
		s.log.ErrorContext(ctx, "the version of the schema cannot be read", "error", err)
	}
	signingKey, pepper := s.SecretIDs()
	s.log.InfoContext(ctx, "kizod serves", "version", s.config.Version, "schema", schema, "roles", roleNames(s.config.Roles),
		"api", s.URL(), "ops", s.OpsURL(), "database", databaseName(s.pool.Config()), "redis", redisName(s.config.Redis), "bank", s.config.BankURL,
		"signing_key", signingKey, "pepper", pepper)
}

// databaseName returns user@host:port/database, with every host if the URL names several.
func databaseName(config *pgxpool.Config) string {
	c := config.ConnConfig
	hosts := []string{address(c.Host, c.Port)}
	for _, fallback := range c.Fallbacks {
		if name := address(fallback.Host, fallback.Port); name != hosts[len(hosts)-1] { // the same host without TLS
			hosts = append(hosts, name)
		}
	}
	return c.User + "@" + strings.Join(hosts, ",") + "/" + c.Database
}

func address(host string, port uint16) string {
	if strings.HasPrefix(host, "/") { // the directory of a unix socket
		return host
	}
	return net.JoinHostPort(host, strconv.Itoa(int(port)))
}

func redisName(redis asynq.RedisConnOpt) string {
	switch r := redis.(type) {
	case asynq.RedisClientOpt:
		return r.Addr
	case asynq.RedisFailoverClientOpt:
		return r.MasterName + "@" + strings.Join(r.SentinelAddrs, ",")
	case asynq.RedisClusterClientOpt:
		return strings.Join(r.Addrs, ",")
	}
	return ""
}
