package main

import (
	"context"
	"strings"
	"time"

	"github.com/JDevAman/kizo/client"
	chars "github.com/JDevAman/kizo/internal/text"
)

// nearestHandle returns a handle that the mistyped one may mean, empty if there is none or the
// server is slow.
func nearestHandle(ctx context.Context, kizo *client.Client, to string) string {
	typed := strings.ToLower(strings.TrimPrefix(to, "@"))
	if len(typed) < 2 || strings.ContainsAny(typed, "@-") {
		return ""
	}
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	const maxDistance = 2 // letters that differ
	best, found := maxDistance+1, ""
	for _, length := range []int{len(typed) - 1, (len(typed) + 1) / 2} {
		if length < 1 {
			continue
		}
		people, err := kizo.SearchUsers(ctx, typed[:length])
		if err != nil {
			return found
		}
		for _, p := range people {
			if d := chars.Distance(typed, strings.ToLower(p.Handle)); d < best {
				best, found = d, p.Handle
			}
		}
	}
	return found
}
