// Package taskqueue connects the queues of tasks in Redis to their workers.
//
//	callers ─► asynq.Client ─► Redis ─► Server ─► handler of settle or mail
//	               └────────── NewRedis ──┘
//
// [NewRedis] makes clients that respect the deadlines of contexts. A [Server] handles the tasks of
// a queue, and stops within a second when Redis does not answer.
//
// Redis may be emptied or down at any time: what must survive is in PostgreSQL, and the package
// does not know it.
package taskqueue

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hibiken/asynq"
	"github.com/redis/go-redis/v9"
)

// shutdownTimeout is how long a server that stops waits for an answer of Redis.
const shutdownTimeout = time.Second

// Server handles tasks with asynq, and stops although Redis does not answer.
type Server struct {
	server   *asynq.Server
	redis    redis.UniversalClient // the server's
	conns    *redisConns           // of redis
	handling sync.WaitGroup
	active   atomic.Int64 // tasks in handling
}

// NewServer creates a server with connections of its own, which logs what asynq reports.
func NewServer(to asynq.RedisConnOpt, log *slog.Logger, config asynq.Config) *Server {
	bounds := QueueBounds
	bounds.conns = new(redisConns)
	config.Logger, config.LogLevel = asynqLog{log}, asynq.WarnLevel
	client := NewRedis(to, bounds)
	return &Server{redis: client, conns: bounds.conns, server: asynq.NewServerFromRedisClient(client, config)}
}

// Start handles tasks with handle in the background until Shutdown, which the caller must call.
// It works while Redis cannot be reached.
func (s *Server) Start(handle func(context.Context, *asynq.Task) error) error {
	return s.server.Start(asynq.HandlerFunc(func(ctx context.Context, task *asynq.Task) error {
		s.handling.Add(1)
		s.active.Add(1)
		defer s.handling.Done()
		defer s.active.Add(-1)
		return handle(ctx, task)
	}))
}

// Shutdown stops asynq's server, which sends several commands to Redis one after the other, and
// waits for the tasks in progress. When there is none and Redis has not answered for
// shutdownTimeout, it cuts the connections, so that all commands that still wait fail at once.
func (s *Server) Shutdown() {
	done := make(chan struct{})
	go func() {
		s.server.Shutdown()
		close(done)
	}()
	tick := time.NewTicker(shutdownTimeout)
	defer tick.Stop()
	for stopped := false; !stopped; {
		select {
		case <-done:
			stopped = true
		case <-tick.C:
			if s.active.Load() == 0 {
				s.conns.cutAll()
			}
		}
	}
	s.handling.Wait() // asynq does not wait for tasks after its ShutdownTimeout
	_ = s.redis.Close()
}

// asynqLog writes asynq's messages to the log.
type asynqLog struct{ log *slog.Logger }

func (l asynqLog) Debug(args ...any) { l.log.Debug("asynq", "message", fmt.Sprint(args...)) }
func (l asynqLog) Info(args ...any)  { l.log.Info("asynq", "message", fmt.Sprint(args...)) }
func (l asynqLog) Warn(args ...any)  { l.log.Warn("asynq", "message", fmt.Sprint(args...)) }
func (l asynqLog) Error(args ...any) { l.log.Warn("asynq", "message", fmt.Sprint(args...)) }
func (l asynqLog) Fatal(args ...any) { l.log.Error("asynq", "message", fmt.Sprint(args...)) }
