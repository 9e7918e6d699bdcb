package site

import (
	"errors"
	"strings"
	"testing"
)

func TestIsRoot(t *testing.T) {
	const whole, justMe, subordinate, gap = "         0          0 4294967295\n", "1000 1000 1\n", "0 1000 1\n1 100000 65536\n", "0 0 1\n1000 1000 1\n"
	tests := []struct {
		name, overflow, uidMap string
		uid                    uint32
		want                   bool
	}{
		{"root", "65534", whole, 0, true},
		{"root of a user namespace", "65534", subordinate, 0, true},
		{"another user", "65534", whole, 1000, false},
		{"nobody, where root is mapped", "65534", whole, 65534, false},
		{"nobody, where root is mapped alone", "65534", gap, 65534, false},
		{"the overflow uid, where root is not mapped", "65534", justMe, 65534, true},
		{"the overflow uid of a rootless container", "65534", subordinate, 65534, true},
		{"another overflow uid", "99", justMe, 99, true},
		{"nobody, who is not the overflow uid", "99", justMe, 65534, false},
		{"no overflow uid is known", "", justMe, 65534, false},
		{"no map is known", "65534", "", 65534, false},
	}
	for _, tt := range tests {
		read := func(name string) ([]byte, error) {
			text := tt.uidMap
			if strings.HasSuffix(name, "overflowuid") {
				text = tt.overflow
			}
			if text == "" {
				return nil, errors.New("no such file")
			}
			return []byte(text + "\n"), nil
		}
		if got := isRoot(tt.uid, read); got != tt.want {
			t.Errorf("%s: isRoot(%d) = %v, want %v", tt.name, tt.uid, got, tt.want)
		}
	}
}
