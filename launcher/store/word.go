package store

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"io/fs"
	mathrand "math/rand/v2"
	"os"
	"path"
	"slices"
	"time"

	"github.com/hpc3-project/hpc3/launcher/fault"
)

// Words that processes leave one another, in a room of their own. They are worth nothing after a day.
const (
	wordAge = 24 * time.Hour
	// maxWord bounds what is read of one.
	maxWord = 64 << 10
)

// failure is the word of a process that could not make a SIF, for those who waited for it.
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

// lasting are the classes of faults that whoever waited would meet as well, one after another, each at its own cost.
var lasting = []fault.Class{fault.Auth, fault.Network, fault.Convert, fault.Policy} //nolint:gochecknoglobals // a constant list

func failureName(key string) string { return key + ".failed" }

// lastFailure returns the last word of key's; the zero value if there is none. In a directory that others use none is heeded: another user's
// credentials may be better.
func (s *Store) lastFailure(key string) (f failure) {
	if s.opt.Shared {
		return failure{}
	}
	raw, err := s.readSmall(path.Join(dirWords, failureName(key)), maxWord)
	if err != nil || raw == nil || json.Unmarshal(raw, &f) != nil || !slices.Contains(lasting, f.Class) {
		return failure{}
	}
	return f
}

// leaveFailure leaves word of a failure, or takes the last one back. Where it cannot, those who wait try for themselves.
func (s *Store) leaveFailure(ctx context.Context, root *os.Root, key string, err error) {
	if err == nil {
		_ = root.Remove(path.Join(dirWords, failureName(key)))
		return
	}
	class, hints, status := fault.Of(err, "")
	if s.opt.Shared || ctx.Err() != nil || !slices.Contains(lasting, class) || errors.As(err, new(*DamagedError)) {
		return
	}
	raw, err := json.Marshal(failure{Mark: rand.Text(), Class: class, Text: err.Error(), Hints: hints, Status: status})
	if err == nil {
		_ = s.writeSmall(dirWords, failureName(key), raw)
	}
}

// agreeAge is how long a word counts on which processes agree. It bounds what harm an old one does whose process ids have come again.
const agreeAge = time.Hour

// Agree keeps what the first process says under a name, and returns it to all that say something under the same name, on any node that shares the
// directory.
func (s *Store) Agree(name, mine string) (theirs string, err error) {
	root, err := s.words()
	if err != nil {
		return "", err
	}
	at := wordFile(name)
	f, tmp, err := s.temp(root, small)
	if err != nil {
		return "", cacheFault(s.dir, "writing to the cache", err)
	}
	defer root.Remove(tmp) //nolint:errcheck // it may have another name by now
	if _, err := f.WriteString(mine); err != nil {
		return "", cacheFault(s.dir, "writing to the cache", errors.Join(err, f.Close()))
	}
	if err := f.Close(); err != nil {
		return "", cacheFault(s.dir, "writing to the cache", err)
	}
	err = root.Link(tmp, at)
	if !errors.Is(err, fs.ErrExist) {
		return mine, err
	}
	if info, err := root.Lstat(at); err != nil || time.Since(info.ModTime()) > agreeAge {
		return mine, errors.Join(err, root.Rename(tmp, at))
	}
	raw, err := s.readSmall(at, maxWord)
	return string(raw), err
}

// First tells whether nobody has asked for these words before, on any node that shares the directory.
func (s *Store) First(words string) (bool, error) {
	root, err := s.words()
	if err != nil {
		return false, err
	}
	f, err := root.OpenFile(wordFile(words), os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if errors.Is(err, fs.ErrExist) {
		return false, nil
	}
	if err != nil {
		return false, cacheFault(s.dir, "writing to the cache", err)
	}
	return true, f.Close()
}

// wordFile is where a word stands that processes find by a text.
func wordFile(text string) string { return path.Join(dirWords, sumOf("sha256", []byte(text))) }

// words opens the room for another word. One in sweepEvery clears it of old ones, so that it needs no collection.
func (s *Store) words() (*os.Root, error) {
	root, err := s.ready(dirTmp, dirWords)
	if err == nil && mathrand.IntN(sweepEvery) == 0 {
		s.forget(root, dirWords, wordAge)
	}
	return root, err
}

const sweepEvery = 32

// forget removes the files of a room that are older than age.
func (s *Store) forget(root *os.Root, room string, age time.Duration) {
	entries, err := s.entries(root, room)
	for _, e := range entries {
		info, infoErr := e.Info()
		if err == nil && infoErr == nil && time.Since(info.ModTime()) > age {
			_ = root.Remove(path.Join(room, e.Name()))
		}
	}
}
