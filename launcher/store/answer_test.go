package store

import (
	"os"
	"path/filepath"
	"testing"
	"time"
)

func TestAnswers(t *testing.T) {
	dir := t.TempDir()
	s, err := Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	if got := s.Answer("gpu-1"); got != nil {
		t.Errorf("Answer() = %q before anything was kept", got)
	}
	for _, text := range []string{"first", "second"} {
		if err := s.KeepAnswer("gpu-1", []byte(text)); err != nil {
			t.Fatal(err)
		}
		if got := s.Answer("gpu-1"); string(got) != text {
			t.Errorf("Answer() = %q, want %q", got, text)
		}
	}
	file := filepath.Join(dir, dirAnswers, "gpu-1")
	if err := os.Chmod(file, 0o666); err != nil {
		t.Fatal(err)
	}
	if got := s.Answer("gpu-1"); got != nil {
		t.Errorf("Answer() = %q of a file that others may write", got)
	}
	if err := os.Remove(file); err != nil {
		t.Fatal(err)
	}
	elsewhere := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(elsewhere, []byte("theirs"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(elsewhere, file); err != nil {
		t.Fatal(err)
	}
	if got := s.Answer("gpu-1"); got != nil {
		t.Errorf("Answer() = %q through a link", got)
	}
	if err := s.KeepAnswer("gpu-1", []byte("mine")); err != nil {
		t.Fatal(err)
	}
	if raw, err := os.ReadFile(elsewhere); err != nil || string(raw) != "theirs" {
		t.Errorf("KeepAnswer wrote %q through a link (%v)", raw, err)
	}
	past := time.Now().Add(-2 * answerAge)
	if err := os.Chtimes(file, past, past); err != nil {
		t.Fatal(err)
	}
	for range 20 * sweepEvery {
		if err := s.KeepAnswer("gpu-2", []byte("x")); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := os.Lstat(file); err == nil {
		t.Error("an old answer is still there")
	}
}
