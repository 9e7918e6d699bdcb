package slurm

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// listed reports whether a list of nodes as Slurm writes it, "n[001-128,200],login,r[1-2]c[01-16]",
// names the host. It does not expand the list: one line may stand for any number of nodes.
func listed(list, host string) (bool, error) {
	items, err := splitList(list)
	if err != nil {
		return false, err
	}
	found := false
	for _, item := range items {
		ok, err := names(item, host)
		if err != nil {
			return false, fmt.Errorf("the node list %q: %w", list, err)
		}
		found = found || ok
	}
	return found, nil
}

// splitList splits at the commas outside of brackets.
func splitList(list string) ([]string, error) {
	var items []string
	start, inside := 0, false
	for i := range len(list) {
		switch c := list[i]; {
		case c == '[' && !inside, c == ']' && inside:
			inside = !inside
		case c == '[', c == ']':
			return nil, fmt.Errorf("the node list %q has a bracket without its counterpart", list)
		case c == ',' && !inside:
			items, start = append(items, list[start:i]), i+1
		}
	}
	if inside {
		return nil, fmt.Errorf("the node list %q has a bracket without its counterpart", list)
	}
	return append(items, list[start:]), nil
}

// names reports whether an item of a list, with balanced brackets, names the host. It keeps every
// position in host that the item can reach, so that "n[1-20]5" costs no more than its length.
func names(item, host string) (bool, error) {
	literal, rest, more := strings.Cut(item, "[")
	reached := afterLiteral([]int{0}, literal, host)
	for more {
		numbers, after, _ := strings.Cut(rest, "]")
		ranges, err := parseRanges(numbers)
		if err != nil {
			return false, err
		}
		literal, rest, more = strings.Cut(after, "[")
		reached = afterLiteral(afterNumber(reached, ranges, host), literal, host)
	}
	return host != "" && slices.Contains(reached, len(host)), nil
}

func afterLiteral(reached []int, literal, host string) []int {
	var next []int
	for _, at := range reached {
		if strings.HasPrefix(host[at:], literal) {
			next = append(next, at+len(literal))
		}
	}
	return next
}

func afterNumber(reached []int, ranges []numberRange, host string) []int {
	ends := make([]bool, len(host)+1)
	for _, at := range reached {
		for end := at + 1; end <= len(host) && '0' <= host[end-1] && host[end-1] <= '9'; end++ {
			ends[end] = ends[end] || inRanges(host[at:end], ranges)
		}
	}
	var next []int
	for at, ok := range ends {
		if ok {
			next = append(next, at)
		}
	}
	return next
}

// numberRange is "001-128": numbers with at least as many digits as the first.
type numberRange struct {
	low, high uint64
	width     int
}

func parseRanges(s string) ([]numberRange, error) {
	var ranges []numberRange
	for word := range strings.SplitSeq(s, ",") {
		first, last, isRange := strings.Cut(word, "-")
		if !isRange {
			last = first
		}
		low, err1 := strconv.ParseUint(first, 10, 64)
		high, err2 := strconv.ParseUint(last, 10, 64)
		if err1 != nil || err2 != nil || high < low {
			return nil, fmt.Errorf("%q is no range of numbers", word)
		}
		ranges = append(ranges, numberRange{low, high, len(first)})
	}
	return ranges, nil
}

func inRanges(digits string, ranges []numberRange) bool {
	n, err := strconv.ParseUint(digits, 10, 64)
	if err != nil {
		return false
	}
	for _, r := range ranges {
		if r.low <= n && n <= r.high && digits == fmt.Sprintf("%0*d", r.width, n) {
			return true
		}
	}
	return false
}
