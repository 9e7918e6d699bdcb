package store

import (
	mathrand "math/rand/v2"
	"path"
	"time"
)

const (
	maxAnswer = 1 << 20            // the GPUs of a node with 16 of them take 4 KiB
	answerAge = 7 * 24 * time.Hour // older answers are about boots or jobs long gone
)

// Answer returns what KeepAnswer kept under a name; nil if there is none that can be trusted. The
// name contains everything that the answer depends on.
func (s *Store) Answer(name string) []byte {
	raw, err := s.readSmall(path.Join(dirAnswers, name), maxAnswer)
	if err != nil {
		return nil // the question is asked again
	}
	return raw
}

// KeepAnswer keeps a fact about this node that takes time to find out. A name is a single path
// element.
func (s *Store) KeepAnswer(name string, raw []byte) error {
	if err := s.writeSmall(dirAnswers, name, raw); err != nil {
		return err
	}
	if root, err := s.root(false); err == nil && mathrand.IntN(sweepEvery) == 0 {
		s.removeOlder(root, dirAnswers, answerAge)
	}
	return nil
}
