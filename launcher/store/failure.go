package store

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"os"
	"path"
	"slices"
	"time"

	"github.com/hpc3-project/hpc3/launcher/fault"
)

// Notices that processes leave one another, in a room of their own. They expire after a day.
const (
	noticeAge = 24 * time.Hour
	// maxNotice bounds how much of one is read.
	maxNotice = 64 << 10
)

// failure is the notice of a process that failed to make a SIF, for the processes that waited for
// it.
type failure struct {
	Mark   string // tells it from an earlier one
	Class  fault.Class
	Text   string
	Hints  []string
	Status int
}

func (f failure) err() error {
	return &fault.Error{Class: f.Class, Err: errors.New(f.Text), Hints: f.Hints, Status: f.Status}
}

// lasting lists the classes of failures that each waiting process would run into as well, one after
// another, each at its own cost.
//
//nolint:gochecknoglobals // a constant list
var lasting = []fault.Class{fault.Auth, fault.Network, fault.Convert, fault.Policy}

func failureName(key string) string { return key + ".failed" }

// lastFailure returns the last failure to make key; the zero value if there is none. In a shared
// directory failures are ignored: another user's credentials may be better.
func (s *Store) lastFailure(key string) (f failure) {
	if s.opt.Shared {
		return failure{}
	}
	raw, err := s.readSmall(path.Join(dirNotices, failureName(key)), maxNotice)
	if err != nil || raw == nil || json.Unmarshal(raw, &f) != nil ||
		!slices.Contains(lasting, f.Class) {
		return failure{}
	}
	return f
}

// leaveFailure leaves a notice of a failure, or removes the last one after a success. If it cannot,
// the waiting processes try for themselves.
func (s *Store) leaveFailure(ctx context.Context, root *os.Root, key string, err error) {
	if err == nil {
		_ = root.Remove(path.Join(dirNotices, failureName(key)))
		return
	}
	class, hints, status := fault.Of(err, "")
	if s.opt.Shared || ctx.Err() != nil || !slices.Contains(lasting, class) ||
		errors.As(err, new(*DamagedError)) {
		return
	}
	raw, err := json.Marshal(failure{
		Mark: rand.Text(), Class: class, Text: err.Error(),
		Hints: hints, Status: status,
	})
	if err == nil {
		_ = s.writeSmall(dirNotices, failureName(key), raw)
	}
}
