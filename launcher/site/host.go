package site

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"sync"
)

//nolint:gochecknoglobals // constant once compiled
var bracket = sync.OnceValue(func() *regexp.Regexp {
	return regexp.MustCompile(`^\d+(-\d+)?(,\d+(-\d+)?)*$`)
})

// matches is matchHost for a pattern that was checked before.
func matches(pattern, host string) bool {
	ok, err := matchHost(pattern, host)
	return ok && err == nil
}

// matchHost tells whether a host name matches a pattern: "*" is any text, "?" any character, and
// "[001-128,200]" a number in one of these ranges, with as many digits as their bounds, as in
// Slurm's node lists.
func matchHost(pattern, host string) (bool, error) {
	expr, ranges, err := compileHost(pattern)
	if err != nil {
		return false, err
	}
	found := expr.FindStringSubmatch(host)
	if found == nil {
		return false, nil
	}
	for i, r := range ranges {
		if !inRanges(found[i+1], r) {
			return false, nil
		}
	}
	return true, nil
}

func compileHost(pattern string) (*regexp.Regexp, []string, error) {
	var expr strings.Builder
	var ranges []string
	expr.WriteString("^")
	for i := 0; i < len(pattern); i++ {
		switch c := pattern[i]; c {
		case '*':
			expr.WriteString(".*")
		case '?':
			expr.WriteString(".")
		case '[':
			end := strings.IndexByte(pattern[i:], ']')
			if end < 0 || !bracket().MatchString(pattern[i+1:i+end]) {
				return nil, nil, fmt.Errorf("the host pattern %q has a bracket "+
					"that holds no numbers; an example is n[001-128,200]", pattern)
			}
			ranges = append(ranges, pattern[i+1:i+end])
			expr.WriteString(`(\d+)`)
			i += end
		default:
			expr.WriteString(regexp.QuoteMeta(string(c)))
		}
	}
	expr.WriteString("$")
	compiled, err := regexp.Compile(expr.String())
	return compiled, ranges, err
}

func inRanges(digits, ranges string) bool {
	n, err := strconv.ParseUint(digits, 10, 64)
	if err != nil {
		return false
	}
	for r := range strings.SplitSeq(ranges, ",") {
		low, high, isRange := strings.Cut(r, "-")
		if !isRange {
			high = low
		}
		from, err1 := strconv.ParseUint(low, 10, 64)
		to, err2 := strconv.ParseUint(high, 10, 64)
		within := err1 == nil && err2 == nil && from <= n && n <= to
		padded := low[0] == '0'
		if within && (len(digits) == len(low) || !padded && len(digits) > len(low)) {
			return true
		}
	}
	return false
}
