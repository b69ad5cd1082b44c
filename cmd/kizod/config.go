package main

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/url"
	"os"
	"regexp"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/spf13/cobra"
	"github.com/spf13/viper"

	"github.com/JDevAman/kizo/money"
	"github.com/JDevAman/kizo/server"
	"github.com/JDevAman/kizo/server/api"
	"github.com/JDevAman/kizo/server/auth"
	"github.com/JDevAman/kizo/server/taskqueue"
)

// setting is a value that is configured by flag, environment or file; the first of these that sets
// it wins. A secret has no flag, since every user of the machine can read command lines.
type setting struct {
	key     string // in the file; the variable is KIZO_ + upper case, the flag has dashes
	initial string // the default
	secret  bool
	help    string
	check   func(string) error
}

func (s setting) flag() string { return strings.ReplaceAll(s.key, "_", "-") }
func (s setting) env() string  { return "KIZO_" + strings.ToUpper(s.key) }

var (
	databaseURL     = setting{"database_url", "", true, "URL of PostgreSQL, as the application's role", checkDatabase}
	migrateURL      = setting{"migrate_url", "", true, "URL of PostgreSQL, as the owner of the tables", checkDatabase}
	redisURL        = setting{"redis_url", "redis://127.0.0.1:6379/0", true, "URL of Redis, for the queues and rate limits; with Sentinels: redis+sentinel://:PASSWORD@host1,host2,host3/NAME", checkRedis}
	bankURL         = setting{"bank_url", "", false, "URL of the bank's API", checkURL}
	bankToken       = setting{"bank_token", "", true, "token that authenticates kizod to the bank; empty sends none", anything}
	secretsFile     = setting{"secrets_file", "/etc/kizo/secrets.json", false, "signing keys and peppers; made by kizod secrets init", notEmpty}
	listen          = setting{"listen", "127.0.0.1:7420", false, "address of the API; port 0 means a free port", checkAddress}
	tlsCert         = setting{"tls_cert", "", false, "file with the certificate of the API and its chain, in PEM; empty serves plain HTTP", anything}
	tlsKey          = setting{"tls_key", "", false, "file with the private key of tls_cert, in PEM", anything}
	opsListen       = setting{"ops_listen", "127.0.0.1:7421", false, "address of metrics and health; port 0 means a free port", checkAddress}
	proxies         = setting{"trusted_proxies", "", false, "networks of the reverse proxies whose X-Forwarded-For names the client, such as 10.0.0.0/8,fd00::/8", checkProxies}
	roles           = setting{"roles", "api,auth,worker,janitor", false, "roles of this process: any of api, auth, worker, janitor", checkRoles}
	currency        = setting{"currency", "USD", false, "currency of a new user's first wallet", checkCurrency}
	reviewAttempts  = setting{"review_after_attempts", "12", false, "number of attempts after which a payment needs review, once it is older than --review-after-age", checkCount}
	reviewAge       = setting{"review_after_age", "1h", false, "age after which a payment needs review, once --review-after-attempts is reached", checkAge}
	rateLimit       = setting{"rate_limit", "200", false, "requests per second of one user; bursts may be twice that; 0 disables the limit", checkRate}
	rateAddress     = setting{"rate_limit_address", "50", false, "requests per second of one address without a valid token, such as log-ins; 0 disables the limit", checkRate}
	inFlight        = setting{"max_in_flight", "1024", false, "maximum number of concurrent requests, fewer while they take long; others are rejected with 503 and Retry-After", checkCount}
	pprofListen     = setting{"pprof_listen", "", false, "address of profiles (pprof), on loopback; empty disables them", checkPprof}
	maxConns        = setting{"max_connections", "0", false, "maximum number of client connections; 0 means as many as the file descriptors allow, at most 16384", checkRate}
	addrConns       = setting{"max_connections_per_address", "0", false, "maximum number of connections of one client address; 0 means a quarter of --max-connections", checkRate}
	hashSlots       = setting{"hash_slots", "0", false, "number of passwords hashed concurrently; 0 means one for each CPU", checkSlots}
	hashMaxWait     = setting{"hash_max_wait", "10s", false, "a log-in that would wait longer for its password check is rejected at once", checkHashMaxWait}
	sessionIdle     = setting{"session_idle", "336h", false, "time without use after which a session ends", checkSession}
	sessionLifetime = setting{"session_lifetime", "2160h", false, "time from the log-in after which a session ends, however it is used", checkSession}
	fourEyes        = setting{"four_eyes_above", "", false, "amounts such as 10000USD,8000EUR: above them, and for any amount of another currency, an action of an operator that moves or releases money needs a second operator; empty disables this", checkFourEyes}
	auditInterval   = setting{"audit_interval", "1h", false, "time between audits by the janitor of what is new since the last one; 0s disables them", checkDuration}
	auditFull       = setting{"audit_full_interval", "168h", false, "time between full audits by the janitor, which read every row", checkAge}
	mailURL         = setting{"mail_url", "", false, "mail server, as smtps://user@host:465 or smtp://user@host:587 (STARTTLS); empty: users get no mail", checkMailURL}
	mailFrom        = setting{"mail_from", "", false, "sender of mail to users, such as kizo@example.com", anything}
	mailPassword    = setting{"mail_password_file", "", false, "file with the password of the mail server, which only the user of kizod may read", anything}
	mailRate        = setting{"mail_rate", "300", false, "mails per minute, of all processes together", checkCount}
	tracesURL       = setting{"traces_url", "", false, "URL of a collector of OpenTelemetry traces (OTLP/HTTP), such as http://127.0.0.1:4318/v1/traces; empty exports none", checkOptionalURL}
	tracesPercent   = setting{"traces_percent", "100", false, "percentage of the traces that are exported, 1 to 100", checkPercent}
	drainDelay      = setting{"drain_delay", "0s", false, "time between failing /readyz and closing the listener", checkDuration}
	logFormat       = setting{"log_format", "", false, "text or json; by default text on a terminal, else json", oneOf("", "text", "json")}
	logLevel        = setting{"log_level", "info", false, "debug, info, warn or error", oneOf("debug", "info", "warn", "error")}
)

// settings are the values of the settings of one command.
type settings struct {
	viper *viper.Viper
	file  string
}

const configFlag = "config"

// addSettings adds the flags of the settings to a command.
func addSettings(cmd *cobra.Command, all ...setting) {
	cmd.Flags().String(configFlag, "", "configuration file (default /etc/kizo/kizod.toml, if it exists)")
	for _, s := range all {
		if !s.secret {
			cmd.Flags().String(s.flag(), s.initial, s.help+" [$"+s.env()+"]")
		}
	}
}

// readSettings reads and checks the settings. An error names the invalid setting and its source.
func readSettings(cmd *cobra.Command, all ...setting) (*settings, error) {
	read, err := sourcesOf(cmd, all...)
	if err != nil {
		return nil, err
	}
	for _, s := range all {
		if err := s.check(read.get(s)); err != nil {
			return nil, usageError{fmt.Errorf("%s (from %s): %w", s.key, read.origin(cmd, s), err)}
		}
	}
	read.warnOfPlainDatabase(cmd, all)
	return read, nil
}

// sourcesOf reads the settings without checking their values.
func sourcesOf(cmd *cobra.Command, all ...setting) (*settings, error) {
	v := viper.New()
	read := &settings{viper: v}
	for _, s := range all {
		v.SetDefault(s.key, s.initial)
		if err := v.BindEnv(s.key, s.env()); err != nil {
			return nil, err
		}
		if flag := cmd.Flags().Lookup(s.flag()); flag != nil {
			if err := v.BindPFlag(s.key, flag); err != nil {
				return nil, err
			}
		}
	}
	if err := read.readFile(cmd); err != nil {
		return nil, err
	}
	return read, nil
}

// warnOfPlainDatabase warns on stderr of an unencrypted connection to PostgreSQL. serve logs the
// warning instead.
func (r *settings) warnOfPlainDatabase(cmd *cobra.Command, all []setting) {
	for _, s := range all {
		if cmd.Name() != "serve" && (s.key == databaseURL.key || s.key == migrateURL.key) && r.get(s) != "" && server.PlainDatabase(r.get(s)) {
			fmt.Fprintf(cmd.ErrOrStderr(), "kizod: warning: %s; add sslmode=verify-full to %s\n", server.PlainDatabaseWarning, s.key)
		}
	}
}

// readFile reads the file of --config, or the default one if it exists.
func (r *settings) readFile(cmd *cobra.Command) error {
	path, err := cmd.Flags().GetString(configFlag)
	if err != nil {
		return err
	}
	named := path != ""
	if !named {
		path = "/etc/kizo/kizod.toml"
	}
	if _, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) && !named {
		return nil
	}
	if err := readTOML(r.viper, path); err != nil {
		return usageError{fmt.Errorf("configuration file %s: %w", path, err)}
	}
	r.file = path
	known := append(serveSettings(), migrateURL, bankAddress)
	for _, key := range fileKeys(path) {
		if !slices.ContainsFunc(known, func(s setting) bool { return s.key == key }) {
			return usageError{fmt.Errorf("configuration file %s: there is no setting %q", path, key)}
		}
	}
	return refusePublicSecrets(path, known)
}

// fileKeys returns the keys in the file, without defaults and environment.
func fileKeys(path string) []string { return fileAlone(path).AllKeys() }

// fileAlone returns the values in the file, without defaults and environment. It returns no values
// if the file cannot be read.
func fileAlone(path string) *viper.Viper {
	v := viper.New()
	if readTOML(v, path) != nil {
		return viper.New()
	}
	return v
}

// refusePublicSecrets returns an error for a file that contains a secret and that other users may
// read.
func refusePublicSecrets(path string, known []setting) error {
	info, err := os.Stat(path)
	if err != nil {
		return usageError{fmt.Errorf("configuration file %s: %w", path, err)}
	}
	if runtime.GOOS == "windows" || info.Mode().Perm()&0o077 == 0 { // Windows has no modes
		return nil
	}
	file := fileAlone(path)
	for _, s := range known {
		if holdsSecret(s, file.GetString(s.key)) {
			return usageError{fmt.Errorf("configuration file %s: others may read the secret in %s (mode %04o); run: chmod 600 %s",
				path, s.key, info.Mode().Perm(), path)}
		}
	}
	return nil
}

// passwordParameter matches a password in the query of a URL, or in a PostgreSQL connection string
// of words.
var passwordParameter = regexp.MustCompile(`(?i)(^|[?&\s])(ssl|sentinel_)?password\s*=\s*[^&\s]`)

// holdsSecret reports whether the value of a setting is a secret, or a URL with one.
func holdsSecret(s setting, value string) bool {
	switch s.key {
	case bankToken.key, bankCallbackSecret.key:
		return value != ""
	}
	u, err := url.Parse(value)
	if err != nil {
		return s.secret // an unreadable value may contain a secret
	}
	password, _ := u.User.Password()
	return password != "" || passwordParameter.MatchString(value)
}

// readTOML reads a file, with or without the byte order mark of some editors on Windows.
func readTOML(v *viper.Viper, path string) error {
	content, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	if bytes.HasPrefix(content, []byte{0xff, 0xfe}) || bytes.HasPrefix(content, []byte{0xfe, 0xff}) {
		return errors.New("it is in UTF-16: save it as UTF-8")
	}
	v.SetConfigType("toml")
	return v.ReadConfig(bytes.NewReader(bytes.TrimPrefix(content, []byte("\ufeff"))))
}

// origin returns the source of a setting, and for a default also what else may set it.
func (r *settings) origin(cmd *cobra.Command, s setting) string {
	switch source := r.source(cmd, s); {
	case source != fromDefault:
		return source
	case s.secret:
		return "the default; set $" + s.env()
	default:
		return "the default; set --" + s.flag() + " or $" + s.env()
	}
}

const fromDefault = "the default"

// source returns the flag, the variable or the file that a setting comes from, or fromDefault.
func (r *settings) source(cmd *cobra.Command, s setting) string {
	flag := cmd.Flags().Lookup(s.flag())
	switch {
	case flag != nil && flag.Changed:
		return "--" + s.flag()
	case os.Getenv(s.env()) != "":
		return "$" + s.env()
	case r.viper.InConfig(s.key):
		return r.file
	default:
		return fromDefault
	}
}

func (r *settings) get(s setting) string { return r.viper.GetString(s.key) }

func (r *settings) roles() []server.Role {
	var list []server.Role
	for name := range strings.SplitSeq(r.get(roles), ",") {
		list = append(list, server.Role(strings.TrimSpace(name)))
	}
	return list
}

func (r *settings) trustedProxies() api.TrustedProxies {
	networks, _ := api.ParseTrustedProxies(r.get(proxies)) // checked
	return networks
}

func (r *settings) duration(s setting) time.Duration {
	d, _ := time.ParseDuration(r.get(s)) // checked
	return d
}

func (r *settings) count(s setting) int {
	n, _ := strconv.Atoi(r.get(s)) // checked
	return n
}

func anything(string) error { return nil }

func notEmpty(value string) error {
	if value == "" {
		return errors.New("is empty")
	}
	return nil
}

// Errors about URLs do not contain them, since a URL may contain a password.

func checkDatabase(value string) error {
	if value == "" {
		return errors.New("is empty; write it as postgres://kizo_app@host/kizo")
	}
	if _, err := pgxpool.ParseConfig(value); err != nil {
		return errors.New("is not a PostgreSQL URL; write it as postgres://kizo_app@host/kizo")
	}
	return nil
}

func checkRedis(value string) error {
	if _, err := taskqueue.ParseURL(value); err != nil {
		return fmt.Errorf("is not a Redis URL; write it as redis://host:6379/0: %w", err)
	}
	return nil
}

func checkURL(value string) error {
	u, err := url.Parse(value)
	if err != nil || u.Host == "" || (u.Scheme != "http" && u.Scheme != "https") {
		return errors.New("is not a URL; write it as https://host/path")
	}
	return nil
}

func checkOptionalURL(value string) error {
	if value == "" {
		return nil
	}
	return checkURL(value)
}

func checkPercent(value string) error {
	if n, err := strconv.Atoi(value); err != nil || n < 1 || n > 100 {
		return fmt.Errorf("%q is not a number from 1 to 100", value)
	}
	return nil
}

func checkMailURL(value string) error {
	u, err := url.Parse(value)
	if value != "" && (err != nil || u.Host == "" || u.Scheme != "smtp" && u.Scheme != "smtps") {
		return errors.New("is not the URL of a mail server; write it as smtps://user@host:465")
	}
	return nil
}

func checkAddress(value string) error {
	if _, _, err := net.SplitHostPort(value); err != nil {
		return fmt.Errorf("%q is not an address; write it as 127.0.0.1:7420", value)
	}
	return nil
}

func checkPprof(value string) error {
	if value == "" {
		return nil
	}
	return server.CheckPprofAddress(value)
}

func checkProxies(value string) error {
	_, err := api.ParseTrustedProxies(value)
	return err
}

func checkRoles(value string) error {
	for name := range strings.SplitSeq(value, ",") {
		if !slices.Contains(server.AllRoles(), server.Role(strings.TrimSpace(name))) {
			return fmt.Errorf("there is no role %q; choose from api, auth, worker, janitor", strings.TrimSpace(name))
		}
	}
	return nil
}

func checkCurrency(value string) error {
	if !money.Currency(value).Known() {
		return fmt.Errorf("%q is not an ISO 4217 currency code; write one such as USD", value)
	}
	return nil
}

func checkDuration(value string) error {
	if d, err := time.ParseDuration(value); err != nil || d < 0 {
		return fmt.Errorf("%q is not a duration; write one such as 5s", value)
	}
	return nil
}

func checkAge(value string) error {
	if d, err := time.ParseDuration(value); err != nil || d <= 0 {
		return fmt.Errorf("%q is not a duration above zero; write one such as 1h", value)
	}
	return nil
}

func checkFourEyes(value string) error {
	_, err := api.ParseFourEyes(value)
	return err
}

// fourEyes returns the value that checkFourEyes has checked.
func (r *settings) fourEyes() api.FourEyes {
	limits, _ := api.ParseFourEyes(r.get(fourEyes))
	return limits
}

func checkSession(value string) error {
	const least, most = 15 * time.Minute, 366 * 24 * time.Hour // an access token lives for 15 minutes
	if d, err := time.ParseDuration(value); err != nil || d < least || d > most {
		return fmt.Errorf("%q is not a duration from 15m to 8784h", value)
	}
	return nil
}

func checkHashMaxWait(value string) error {
	if d, err := time.ParseDuration(value); err != nil || d < time.Second || d > auth.MaxHashMaxWait {
		return fmt.Errorf("%q is not a duration from 1s to %v", value, auth.MaxHashMaxWait)
	}
	return nil
}

func checkCount(value string) error {
	if n, err := strconv.Atoi(value); err != nil || n < 1 {
		return fmt.Errorf("%q is not a number above zero", value)
	}
	return nil
}

func checkRate(value string) error {
	if n, err := strconv.Atoi(value); err != nil || n < 0 || n > 1_000_000 {
		return fmt.Errorf("%q is not a number from 0 to 1000000", value)
	}
	return nil
}

func checkSlots(value string) error {
	if n, err := strconv.Atoi(value); err != nil || n < 0 || n > 1024 {
		return fmt.Errorf("%q is not a number from 0 to 1024", value)
	}
	return nil
}

func oneOf(choices ...string) func(string) error {
	return func(value string) error {
		if !slices.Contains(choices, value) {
			return fmt.Errorf("%q is not one of %s", value, strings.Join(slices.DeleteFunc(slices.Clone(choices), func(s string) bool { return s == "" }), ", "))
		}
		return nil
	}
}
