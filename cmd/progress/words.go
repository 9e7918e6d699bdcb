package progress

import (
	"fmt"
	"math"
	"strings"
	"time"

	"github.com/hpc3-project/hpc3/launcher/notes"
)

// describe says how far an image is, without its name. rate is in bytes a second.
func describe(e notes.Event, rate float64, waited time.Duration, percent bool) string {
	switch e.Phase {
	case notes.Wait:
		return fmt.Sprintf("waiting for another process that converts it, %.0f s", waited.Seconds())
	case notes.Convert:
		return fmt.Sprintf("%s fetched, converting: %s written", amount(e.In), amount(e.Out))
	case notes.Publish:
		return amount(e.Out) + " written, finishing"
	}
	total := float64(e.Total)
	unit, size := scale(total)
	s := fmt.Sprintf("%s of %s %s",
		number(float64(e.In), size, total), number(total, size, total), unit)
	if percent && e.Total > 0 {
		s += fmt.Sprintf(" (%d %%)", e.In*100/e.Total)
	}
	if e.Kept > 0 {
		s += fmt.Sprintf(", going on at %d %%", e.Kept*100/e.Total)
	}
	if rate < 1 {
		return s
	}
	left := span(float64(e.Total-e.In) / rate)
	return fmt.Sprintf("%s, %s/s, %s left", s, amount(int64(rate)), left)
}

// amount writes a number of bytes in a suitable unit.
func amount(n int64) string {
	unit, size := scale(float64(n))
	return number(float64(n), size, float64(n)) + " " + unit
}

func scale(n float64) (unit string, size float64) {
	switch {
	case n >= 1e9:
		return "GB", 1e9
	case n >= 1e6:
		return "MB", 1e6
	case n >= 1e3:
		return "kB", 1e3
	}
	return "B", 1
}

// number writes n as a multiple of size, with a decimal if the largest number beside it is small.
func number(n, size, largest float64) string {
	if size > 1 && largest/size < 10 {
		return fmt.Sprintf("%.1f", n/size)
	}
	return fmt.Sprintf("%.0f", n/size)
}

func span(seconds float64) string {
	switch {
	case seconds < 60:
		return fmt.Sprintf("%.0f s", math.Ceil(seconds))
	case seconds < 3600:
		return fmt.Sprintf("%.0f min", math.Ceil(seconds/60))
	}
	return fmt.Sprintf("%.0f h", math.Ceil(seconds/3600))
}

// short returns the last part of a reference, with enough of a digest to distinguish images.
func short(image string) string {
	name, digest, pinned := strings.Cut(image, "@")
	name = name[strings.LastIndexByte(name, '/')+1:]
	if algorithm, hex, ok := strings.Cut(digest, ":"); pinned && ok {
		name += "@" + algorithm + ":" + hex[:min(12, len(hex))]
	}
	return name
}

// fit joins a name and what is said of it to a text of at most so many columns. The name is cut
// first.
func fit(name, said string, columns int) string {
	const least = 8 // of a name that is cut short, with its ellipsis
	room := columns - len([]rune(said)) - len(": ")
	n, s := []rune(name), []rune(said)
	switch {
	case len(n) <= room:
		return name + ": " + said
	case room >= least:
		return string(n[:room-1]) + "…: " + said
	}
	return string(s[:max(0, min(columns, len(s)))])
}
