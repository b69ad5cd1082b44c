package taskqueue

import (
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/url"
	"strconv"
	"strings"

	"github.com/hibiken/asynq"
)

// sentinelPort is the port of a Sentinel whose address has none.
const sentinelPort = "26379"

// ParseURL reads the URL of Redis. Besides those that asynq knows (redis, rediss, redis-socket), it
// may name the Sentinels of a Redis that fails over:
//
//	redis+sentinel://user:password@host1:26379,host2:26379/name/0?sentinel_password=…
//
// The user and the password are those of Redis, which the clients follow to another host; name is
// what the Sentinels call it; 0 is the database. The parameters sentinel_username and
// sentinel_password are for the Sentinels. With rediss+sentinel, all connections use TLS. An error
// does not contain the URL, which may have a password.
func ParseURL(text string) (asynq.RedisConnOpt, error) {
	scheme, rest, _ := strings.Cut(text, "://")
	switch strings.ToLower(scheme) {
	case "redis+sentinel":
		return parseSentinels(rest, nil)
	case "rediss+sentinel":
		return parseSentinels(rest, &tls.Config{MinVersion: tls.VersionTLS12})
	case "redis-sentinel": // asynq's own: it has no password of Redis
		return nil, errors.New("write it as redis+sentinel://:password@host1:26379,host2:26379/name/0")
	}
	to, err := asynq.ParseRedisURI(text)
	if err != nil {
		return nil, errors.New("it is not the URL of a Redis")
	}
	return to, nil
}

// parseSentinels reads what follows the scheme.
func parseSentinels(rest string, config *tls.Config) (asynq.RedisConnOpt, error) {
	authority, tail := rest, ""
	if end := strings.IndexAny(rest, "/?#"); end >= 0 {
		authority, tail = rest[:end], rest[end:]
	}
	user, hosts := "", authority
	if at := strings.LastIndexByte(authority, '@'); at >= 0 {
		user, hosts = authority[:at+1], authority[at+1:]
	}
	// net/url may refuse a list of hosts.
	u, err := url.Parse("redis://" + user + "sentinels" + tail)
	if err != nil {
		return nil, errors.New("it is not the URL of Sentinels")
	}
	to := asynq.RedisFailoverClientOpt{TLSConfig: config, Username: u.User.Username()}
	to.Password, _ = u.User.Password()
	for host := range strings.SplitSeq(hosts, ",") {
		address, err := sentinelAddress(host)
		if err != nil {
			return nil, err
		}
		to.SentinelAddrs = append(to.SentinelAddrs, address)
	}
	name, db, hasDB := strings.Cut(strings.Trim(u.Path, "/"), "/")
	if to.MasterName = name; name == "" {
		return nil, errors.New("the name of the Redis is missing: redis+sentinel://host1,host2/name")
	}
	if hasDB {
		if to.DB, err = strconv.Atoi(db); err != nil || to.DB < 0 {
			return nil, errors.New("what follows the name is not the number of a database")
		}
	}
	for parameter, values := range u.Query() {
		switch value := values[0]; parameter {
		case "sentinel_username":
			to.SentinelUsername = value
		case "sentinel_password":
			to.SentinelPassword = value
		default:
			return nil, fmt.Errorf("there is no parameter %q", parameter)
		}
	}
	return to, nil
}

func sentinelAddress(host string) (string, error) {
	if host == "" {
		return "", errors.New("a host of the Sentinels is empty")
	}
	if _, _, err := net.SplitHostPort(host); err == nil {
		return host, nil
	}
	inner, bracketed := strings.CutPrefix(host, "[") // an IPv6 address
	if inner = strings.TrimSuffix(inner, "]"); bracketed == strings.Contains(inner, ":") {
		return net.JoinHostPort(inner, sentinelPort), nil
	}
	return "", errors.New("a host of the Sentinels is not host:port")
}
