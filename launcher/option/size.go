package option

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
)

// none is the word for no limit.
const none = "none"

// Size is a number of bytes, negative for no limit.
type Size struct{ Bytes int64 }

// Unlimited is the Size without a limit.
func Unlimited() Size { return Size{-1} }

// units of a Size, the longest first. Those without an i are powers of 1000, as disks and quotas
// have them.
var units = []struct { //nolint:gochecknoglobals // a constant table
	name  string
	bytes int64
}{
	{"KiB", 1 << 10},
	{"MiB", 1 << 20},
	{"GiB", 1 << 30},
	{"TiB", 1 << 40},
	{"kB", 1e3},
	{"KB", 1e3},
	{"MB", 1e6},
	{"GB", 1e9},
	{"TB", 1e12},
	{"K", 1e3},
	{"M", 1e6},
	{"G", 1e9},
	{"T", 1e12},
	{"B", 1},
}

// ParseSize reads "20GB", "500MiB", "1.5T", "0", or "none".
func ParseSize(s string) (Size, error) {
	if s == none {
		return Unlimited(), nil
	}
	number, unit := s, int64(1)
	for _, u := range units {
		if n, ok := strings.CutSuffix(s, u.name); ok {
			number, unit = strings.TrimSpace(n), u.bytes
			break
		}
	}
	if n, err := strconv.ParseInt(number, 10, 64); err == nil && n >= 0 && n <= math.MaxInt64/unit {
		return Size{n * unit}, nil
	}
	f, err := strconv.ParseFloat(number, 64)
	plain := strings.Trim(number, "0123456789.") == ""
	if bytes := f * float64(unit); err == nil && plain && bytes >= 0 && bytes < math.MaxInt64 {
		return Size{int64(bytes)}, nil
	}
	return Size{}, fmt.Errorf("%q is no size; write 20GB, 500MB or none", s)
}

// String returns the form that ParseSize reads, exactly.
func (s Size) String() string {
	if s.Bytes < 0 {
		return none
	}
	for _, u := range []string{"TB", "GB", "MB", "kB"} {
		for _, known := range units {
			if known.name == u && s.Bytes > 0 && s.Bytes%known.bytes == 0 {
				return strconv.FormatInt(s.Bytes/known.bytes, 10) + u
			}
		}
	}
	return strconv.FormatInt(s.Bytes, 10)
}

// UnmarshalText reads a size.
func (s *Size) UnmarshalText(b []byte) (err error) {
	*s, err = ParseSize(string(b))
	return err
}

// automatic is the word for a limit that follows the free room.
const automatic = "auto"

// LayerCache is how many bytes of layers are kept. The zero value keeps none.
type LayerCache struct {
	Size

	Auto bool // as many as the free room allows; Size does not count
}

// UnmarshalText reads a size, or "auto".
func (l *LayerCache) UnmarshalText(b []byte) error {
	if string(b) == automatic {
		*l = LayerCache{Auto: true}
		return nil
	}
	l.Auto = false
	return l.Size.UnmarshalText(b)
}

// Age is a number of whole days, negative for no limit.
type Age struct{ Days int }

// Ageless is the Age without a limit.
func Ageless() Age { return Age{-1} }

// maxDays keeps the arithmetic safe: a thousand years.
const maxDays = 365_000

// ParseAge reads a number of days, "30" or "30d", or "none".
func ParseAge(s string) (Age, error) {
	if s == none {
		return Ageless(), nil
	}
	n, err := strconv.Atoi(strings.TrimSuffix(s, "d"))
	if err != nil || n < 0 || n > maxDays {
		return Age{}, fmt.Errorf("%q is no number of days; write 30, 30d or none", s)
	}
	return Age{n}, nil
}

// String returns the form that ParseAge reads.
func (a Age) String() string {
	if a.Days < 0 {
		return none
	}
	return strconv.Itoa(a.Days) + "d"
}

// Duration returns the age as a time, negative for no limit.
func (a Age) Duration() time.Duration { return time.Duration(a.Days) * 24 * time.Hour }

// UnmarshalText reads an age.
func (a *Age) UnmarshalText(b []byte) (err error) {
	*a, err = ParseAge(string(b))
	return err
}
