package taskqueue

import (
	"crypto/tls"
	"reflect"
	"strings"
	"testing"

	"github.com/hibiken/asynq"
)

func TestParseURL(t *testing.T) {
	t.Parallel()
	const canary = "hunter2canary"
	secure := &tls.Config{MinVersion: tls.VersionTLS12}
	for text, want := range map[string]asynq.RedisConnOpt{
		"redis://:p@h:1/2":               asynq.RedisClientOpt{Addr: "h:1", Password: "p", DB: 2},
		"redis-socket:///run/redis.sock": asynq.RedisClientOpt{Network: "unix", Addr: "/run/redis.sock"},
		"redis+sentinel://a:1,b:2,c:3/kizo": asynq.RedisFailoverClientOpt{
			MasterName: "kizo", SentinelAddrs: []string{"a:1", "b:2", "c:3"},
		},
		"redis+sentinel://u:p%40w@a,[::1]:2,[::2]/kizo/3?sentinel_username=s&sentinel_password=q%26": asynq.RedisFailoverClientOpt{
			MasterName: "kizo", SentinelAddrs: []string{"a:26379", "[::1]:2", "[::2]:26379"}, DB: 3,
			Username: "u", Password: "p@w", SentinelUsername: "s", SentinelPassword: "q&",
		},
		"rediss+sentinel://:p@a:1/kizo/0": asynq.RedisFailoverClientOpt{
			MasterName: "kizo", SentinelAddrs: []string{"a:1"}, Password: "p", TLSConfig: secure,
		},
	} {
		got, err := ParseURL(text)
		if err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%s: %+v, %v, want %+v", text, got, err, want)
		}
	}
	for _, text := range []string{
		"", "http://:" + canary + "@h", "redis://:" + canary + "@h/name", "redis+sentinel://:" + canary + "@a:1", "redis+sentinel://:" + canary + "@a:1/",
		"redis+sentinel://:" + canary + "@a:1,/kizo", "redis+sentinel://:" + canary + "@a:1,b:c:d/kizo", "redis+sentinel://:" + canary + "@/kizo",
		"redis+sentinel://:" + canary + "@a:1/kizo/x", "redis+sentinel://:" + canary + "@a:1/kizo/-1", "redis+sentinel://:" + canary + "@a:1/kizo?sentinel=1",
		"redis-sentinel://:" + canary + "@a:1?master=kizo", "redis+sentinel://:" + canary + "%zz@a:1/kizo",
	} {
		if got, err := ParseURL(text); err == nil {
			t.Errorf("%s: %+v", text, got)
		} else if strings.Contains(err.Error(), canary) {
			t.Errorf("the error has the password: %v", err)
		}
	}
}
