package slurm

import "strings"

// Cut is a value in a line of #SBATCH that holds an unquoted #: sbatch reads only the part before
// it, and takes the rest for a comment.
type Cut struct {
	Line    int    // of the script, from 1
	Option  string // without dashes: "container-env"
	Read    string // the value that sbatch takes
	Written string // the text of the line, up to the next blank
}

// Cuts returns the cut values in the lines of a batch script that sbatch reads: those above the
// first command.
func Cuts(script string) []Cut {
	var cuts []Cut
	number := 0
	for line := range strings.Lines(script) {
		number++
		rest, ok := strings.CutPrefix(line, "#SBATCH")
		if !ok {
			if text := strings.TrimSpace(line); text != "" && text[0] != '#' {
				break
			}
			continue
		}
		if cut, ok := cutIn(rest); ok {
			cut.Line = number
			cuts = append(cuts, cut)
		}
	}
	return cuts
}

// cutIn returns the cut value of a line. sbatch reads nothing after it.
func cutIn(line string) (Cut, bool) {
	var before, read, written string // words
	for more := true; more; {
		before = read
		read, written, line, more = argument(line)
		if more && written == "" {
			continue
		}
		if name, ok := strings.CutPrefix(read, "--"); ok {
			var hasValue bool
			if before, read, hasValue = strings.Cut(name, "="); !hasValue {
				return Cut{}, false
			}
			_, written, _ = strings.Cut(written, "=")
		} else if before, ok = strings.CutPrefix(before, "--"); !ok ||
			strings.Contains(before, "=") {
			return Cut{}, false
		}
		return Cut{Option: before, Read: read, Written: written}, before != "" && written != ""
	}
	return Cut{}, false
}

// argument reads a word as get_argument of Slurm's sbatch does. written is "" unless a # cuts the
// word.
func argument(line string) (read, written, rest string, ok bool) {
	line = strings.TrimLeft(line, blanks)
	var b strings.Builder
	quote, escaped := byte(0), false
	i := 0
	for ; i < len(line) && (quote != 0 || !strings.Contains(blanks, line[i:i+1])); i++ {
		switch c := line[i]; {
		case escaped:
			escaped = false
			b.WriteByte(c)
		case c == '\\':
			escaped = true
		case quote != 0 && c == quote:
			quote = 0
		case quote == 0 && (c == '"' || c == '\''):
			quote = c
		case quote == 0 && c == '#':
			end := i + 1
			for end < len(line) && !strings.Contains(blanks, line[end:end+1]) {
				end++
			}
			if i > 0 && end > i+1 {
				return b.String(), line[:end], "", true
			}
			return b.String(), "", "", false
		default:
			b.WriteByte(c)
		}
	}
	return b.String(), "", line[i:], i > 0
}

const blanks = " \t\n\v\f\r"
