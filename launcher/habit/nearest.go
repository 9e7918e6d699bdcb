// Package habit knows the words that people bring from other programs, which are options and
// commands of docker, podman, Apptainer, pyxis and others, and finds the word that a mistyped one
// stands for. It tells what to write here instead.
package habit

import "strings"

// Nearest returns the known word that most likely was meant: the one of which this is a
// misspelling, or the first one that begins or ends with it. It is "" if nothing is near.
func Nearest(word string, known []string) string {
	best := Misspelt(word, known)
	if best != "" || len(word) < 3 {
		return best
	}
	for _, k := range known {
		if strings.HasPrefix(k, word) || strings.HasSuffix(k, "-"+word) {
			return k
		}
	}
	return ""
}

// Misspelt returns the known word that needs the fewest changes to be the word; "" if it needs more
// changes than a third of the letters, or three.
func Misspelt(word string, known []string) string {
	best, least := "", 1+max(1, min(3, len(word)/3))
	for _, k := range known {
		if d := distance(word, k); d < least {
			best, least = k, d
		}
	}
	return best
}

// maxWord bounds what is compared: no word of ours is longer.
const maxWord = 64

// distance counts the letters that must be added, removed, replaced or swapped with the next one to
// turn a into b.
func distance(a, b string) int {
	if len(a) > maxWord || len(b) > maxWord {
		return maxWord
	}
	var rows [3][maxWord + 1]int // the two last rows, and the one in work
	for j := range rows[2] {
		rows[2][j] = j
	}
	for i := 1; i <= len(a); i++ {
		rows[0], rows[1] = rows[1], rows[2]
		row := &rows[2]
		row[0] = i
		for j := 1; j <= len(b); j++ {
			other := 1
			if a[i-1] == b[j-1] {
				other = 0
			}
			row[j] = min(rows[1][j]+1, row[j-1]+1, rows[1][j-1]+other)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				row[j] = min(row[j], rows[0][j-2]+1)
			}
		}
	}
	return rows[2][len(b)]
}
