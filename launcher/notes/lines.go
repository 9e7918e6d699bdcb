package notes

import (
	"strings"
	"unicode/utf8"
)

// leastColumns is how narrow the last column of a table may get; below that it has lines of its
// own.
const leastColumns = 28

// Fold returns a line that begins with head, broken between words where it would be longer than
// width; what follows is indented as head is long. No word is broken. A width of 0 is that of a
// file, in which a line has any length.
func Fold(head, text string, width int) string {
	indent := strings.Repeat(" ", utf8.RuneCountInString(head))
	var b strings.Builder
	b.WriteString(head)
	at := 0 // columns of text in this line
	for _, word := range strings.Fields(text) {
		n := utf8.RuneCountInString(word)
		switch {
		case at == 0:
		case width > 0 && len(indent)+at+1+n > width:
			b.WriteString("\n" + indent)
			at = 0
		default:
			b.WriteString(" ")
			at++
		}
		b.WriteString(word)
		at += n
	}
	return strings.TrimRight(b.String(), " ") + "\n"
}

// Rows returns a table. Its columns are as wide as what is in them, but the last one, which is
// folded to fit the width; where that leaves it too little room, it stands below its row.
func Rows(rows [][]string, width int) string {
	var wide []int
	for _, row := range rows {
		for i, cell := range row[:len(row)-1] {
			if i == len(wide) {
				wide = append(wide, 0)
			}
			wide[i] = max(wide[i], utf8.RuneCountInString(cell))
		}
	}
	head := 0
	for _, n := range wide {
		head += n + len("  ")
	}
	below := width > 0 && width-head < leastColumns
	var b strings.Builder
	for _, row := range rows {
		line := ""
		for i, cell := range row[:len(row)-1] {
			line += cell + strings.Repeat(" ", wide[i]-utf8.RuneCountInString(cell)+len("  "))
		}
		last := row[len(row)-1]
		if !below {
			b.WriteString(Fold(line, last, width))
			continue
		}
		if line = strings.TrimRight(line, " "); line != "" {
			b.WriteString(line + "\n")
		}
		b.WriteString(Fold("    ", last, width))
	}
	return b.String()
}
