package api

import (
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/JDevAman/kizo/server/auth"
)

func TestBatchLimitsAreSharedBetweenUsers(t *testing.T) {
	t.Parallel()
	l := newBatchLimits()
	users := make([]auth.UserID, maxBatches)
	for i := range users {
		users[i] = auth.UserID(uuid.New())
	}
	for i := range maxBatchesOfUser + 1 {
		if ok := l.begin(users[0]); ok != (i < maxBatchesOfUser) {
			t.Errorf("batch %d of a user may begin: %t", i+1, ok)
		}
	}
	running := maxBatchesOfUser
	for _, user := range users[1:] {
		if ok := l.begin(user); ok != (running < maxBatches) {
			t.Errorf("with %d running, another may begin: %t", running, ok)
		} else if ok {
			running++
		}
	}
	l.end(users[0])
	if !l.begin(users[len(users)-1]) {
		t.Error("no batch may begin after one has ended")
	}
}

// A large body counts until it has been received, or can no longer be received.
func TestLargeBodiesAreBounded(t *testing.T) {
	t.Parallel()
	l, now := newBatchLimits(), time.Now()
	user := auth.UserID(uuid.New())
	for i := range maxLargeBodiesOfUser + 1 {
		if ok := l.receive(user, now.Add(time.Duration(i)*time.Second/10)); ok != (i < maxLargeBodiesOfUser) {
			t.Errorf("large body %d of a user is received: %t", i+1, ok)
		}
	}
	l.received(user)
	if !l.receive(user, now.Add(time.Second)) || l.receive(user, now.Add(time.Second)) {
		t.Error("after one was received, exactly one more is")
	}
	for range maxLargeBodies - maxLargeBodiesOfUser {
		if !l.receive(auth.UserID(uuid.New()), now.Add(time.Second)) {
			t.Fatal("another user's large body is not received")
		}
	}
	if other := auth.UserID(uuid.New()); l.receive(other, now.Add(2*time.Second)) || !l.receive(other, now.Add(time.Minute)) {
		t.Error("large bodies of all users are not bounded, or never expire")
	}
}
