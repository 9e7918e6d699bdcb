package match

import (
	"cmp"
	"strconv"
	"strings"
)

// version is a version as numbers.
type version []int

// parseVersion parses the leading numbers of a version, "4.1.5rc2" as 4.1.5; nil if there are none.
func parseVersion(s string) version {
	var v version
	for part := range strings.FieldsFuncSeq(s, func(r rune) bool { return r == '.' || r == '-' }) {
		digits := len(part) - len(strings.TrimLeft(part, "0123456789"))
		n, err := strconv.ParseUint(part[:digits], 10, 31)
		if err != nil {
			break
		}
		v = append(v, int(n))
		if digits < len(part) {
			break
		}
	}
	return v
}

// compare compares number by number; a missing number is 0.
func (v version) compare(w version) int {
	for i := range max(len(v), len(w)) {
		if c := cmp.Compare(v.at(i), w.at(i)); c != 0 {
			return c
		}
	}
	return 0
}

func (v version) at(i int) int {
	if i < len(v) {
		return v[i]
	}
	return 0
}

// major reports whether v begins with the number n.
func (v version) major(n int) bool { return len(v) > 0 && v[0] == n }

func (v version) String() string {
	parts := make([]string, len(v))
	for i, n := range v {
		parts[i] = strconv.Itoa(n)
	}
	return strings.Join(parts, ".")
}

// weight maps a driver version to one number that keeps the order.
func (v version) weight() int {
	w := 0
	for i := range 3 {
		w = w*1_000_000 + min(v.at(i), 999_999)
	}
	return w
}
