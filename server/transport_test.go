package server_test

import (
	"bytes"
	"crypto/tls"
	"log/slog"
	"strings"
	"testing"

	"github.com/hibiken/asynq"

	"github.com/JDevAman/kizo/internal/testkit"
	"github.com/JDevAman/kizo/server"
	"github.com/JDevAman/kizo/server/api"
	"github.com/JDevAman/kizo/server/embedded/pgtest"
)

// Unencrypted connections over a network are refused or logged as a warning, and no others.
func TestPlainTransport(t *testing.T) {
	t.Parallel()
	const listens, token, bank, database, password, redis = "API listens", "token can be read", "reached over plain HTTP", "PostgreSQL", "no password", "Redis on another host is reached without TLS"
	proxies, err := api.ParseTrustedProxies("10.0.0.0/8")
	testkit.Must(t, err)
	for name, c := range map[string]struct {
		change  func(*server.Config)
		refuses string
		warns   []string
	}{
		"loopback":                {func(*server.Config) {}, "", nil},
		"another loopback":        {func(c *server.Config) { c.Listen = "127.0.0.9:1" }, "", nil},
		"localhost":               {func(c *server.Config) { c.Listen = "localhost:1" }, "", nil},
		"IPv6 loopback":           {func(c *server.Config) { c.Listen = "[::1]:1" }, "", nil},
		"every address":           {func(c *server.Config) { c.Listen = "0.0.0.0:1" }, listens, nil},
		"every IPv6 address":      {func(c *server.Config) { c.Listen = "[::]:1" }, listens, nil},
		"a port alone":            {func(c *server.Config) { c.Listen = ":1" }, listens, nil},
		"an address":              {func(c *server.Config) { c.Listen = "10.1.2.3:1" }, listens, nil},
		"a name":                  {func(c *server.Config) { c.Listen = "kizo.example:1" }, listens, nil},
		"a name like localhost":   {func(c *server.Config) { c.Listen = "localhost.example:1" }, listens, nil},
		"behind a proxy":          {func(c *server.Config) { c.Listen, c.TrustedProxies = "0.0.0.0:1", proxies }, "", nil},
		"no API":                  {func(c *server.Config) { c.Listen, c.Roles = "0.0.0.0:1", []server.Role{server.RoleWorker} }, "", nil},
		"accepted":                {func(c *server.Config) { c.Listen, c.AcceptPlainText = "0.0.0.0:1", true }, "", []string{listens}},
		"log-in alone":            {func(c *server.Config) { c.Listen, c.Roles = "0.0.0.0:1", []server.Role{server.RoleAuth} }, listens, nil},
		"a bank with a token":     {func(c *server.Config) { c.BankURL, c.BankToken = "http://bank.example", "t" }, token, nil},
		"a bank by its address":   {func(c *server.Config) { c.BankURL, c.BankToken = "http://10.1.2.3:80/v2", "t" }, token, nil},
		"a bank accepted":         {func(c *server.Config) { c.BankURL, c.BankToken, c.AcceptPlainText = "http://bank.example", "t", true }, "", []string{token}},
		"a bank without a token":  {func(c *server.Config) { c.BankURL = "http://bank.example" }, "", []string{bank}},
		"a bank on this host":     {func(c *server.Config) { c.BankURL, c.BankToken = "http://localhost:3001", "t" }, "", nil},
		"a bank by https":         {func(c *server.Config) { c.BankURL, c.BankToken = "https://bank.example", "t" }, "", nil},
		"PostgreSQL":              {func(c *server.Config) { c.DatabaseURL = "postgres://kizo_app@db/kizo" }, "", []string{database}},
		"sslmode=prefer":          {func(c *server.Config) { c.DatabaseURL = "postgres://kizo_app@db/kizo?sslmode=prefer" }, "", []string{database}},
		"sslmode=allow":           {func(c *server.Config) { c.DatabaseURL = "postgres://kizo_app@db/kizo?sslmode=allow" }, "", []string{database}},
		"sslmode=disable":         {func(c *server.Config) { c.DatabaseURL = "postgres://kizo_app@db/kizo?sslmode=disable" }, "", []string{database}},
		"sslmode=require":         {func(c *server.Config) { c.DatabaseURL = "postgres://kizo_app@db/kizo?sslmode=require" }, "", nil},
		"sslmode=verify-full":     {func(c *server.Config) { c.DatabaseURL = "postgres://kizo_app@db/kizo?sslmode=verify-full" }, "", nil},
		"the second of two hosts": {func(c *server.Config) { c.DatabaseURL = "postgres://kizo_app@127.0.0.1,db/kizo" }, "", []string{database}},
		"PostgreSQL here":         {func(c *server.Config) { c.DatabaseURL = "postgres://kizo_app@127.0.0.1/kizo" }, "", nil},
		"Redis":                   {func(c *server.Config) { c.Redis = asynq.RedisClientOpt{Addr: "queue:6379"} }, "", []string{password, redis}},
		"Redis with a password":   {func(c *server.Config) { c.Redis = asynq.RedisClientOpt{Addr: "queue:6379", Password: "p"} }, "", []string{redis}},
		"Redis with TLS": {func(c *server.Config) {
			c.Redis = asynq.RedisClientOpt{Addr: "queue:6379", TLSConfig: &tls.Config{MinVersion: tls.VersionTLS12}}
		}, "", []string{password}},
		"Redis with both": {func(c *server.Config) {
			c.Redis = asynq.RedisClientOpt{Addr: "queue:6379", Password: "p", TLSConfig: &tls.Config{MinVersion: tls.VersionTLS12}}
		}, "", nil},
		"Redis here": {func(c *server.Config) { c.Redis = asynq.RedisClientOpt{Addr: "[::1]:6379"} }, "", nil},
		"Redis by its sentinels": {func(c *server.Config) {
			c.Redis = asynq.RedisFailoverClientOpt{SentinelAddrs: []string{"127.0.0.1:1", "s2:2"}}
		}, "", []string{password, redis}},
		"a cluster of Redis": {func(c *server.Config) { c.Redis = asynq.RedisClusterClientOpt{Addrs: []string{"r1:1"}, Password: "p"} }, "", []string{redis}},
	} {
		config := server.Config{
			Listen: "127.0.0.1:0", Roles: server.AllRoles(), BankURL: "http://127.0.0.1:1", DatabaseURL: "postgres:///kizo?host=/run/postgresql",
			Redis: asynq.RedisClientOpt{Network: "unix", Addr: "/run/redis.sock"},
		}
		c.change(&config)
		var logged bytes.Buffer
		err := config.CheckTransport(slog.New(slog.NewTextHandler(&logged, nil)))
		switch {
		case (err == nil) != (c.refuses == ""):
			t.Errorf("%s: %v, want a refusal: %q", name, err, c.refuses)
		case err != nil:
			testkit.Contains(t, err.Error(), c.refuses, "--i-accept-plain-text-passwords")
		}
		if n := strings.Count(logged.String(), "level=WARN"); n != len(c.warns) {
			t.Errorf("%s: %d warnings, want %d:\n%s", name, n, len(c.warns), logged.String())
		}
		testkit.Contains(t, logged.String(), c.warns...)
	}
}

func TestPlainTransportIsRefusedAtStart(t *testing.T) {
	t.Parallel()
	c := config(t, "postgres://kizo_app@127.0.0.1:1/kizo")
	c.Listen = "0.0.0.0:0"
	testkit.Contains(t, refused(t, c), "API listens beyond loopback", "--i-accept-plain-text-passwords")
	d, err := server.StartDev(t.Context(), server.DevConfig{Dir: pgtest.TempDir(t), Listen: ":0"})
	if err == nil {
		_ = d.Close()
		t.Fatal("a Dev listens beyond loopback")
	}
	testkit.Contains(t, err.Error(), "API listens beyond loopback", "--trusted-proxies")
}
