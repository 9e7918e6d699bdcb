package notes

import "fmt"

// Amount writes a number of bytes for people.
func Amount(n int64) string {
	switch {
	case n >= 1e9:
		return fmt.Sprintf("%.1f GB", float64(n)/1e9)
	case n >= 1e6:
		return fmt.Sprintf("%.1f MB", float64(n)/1e6)
	}
	return fmt.Sprintf("%.1f kB", float64(n)/1e3)
}

// Images counts images in a sentence.
func Images(n int) string {
	if n == 1 {
		return "1 image"
	}
	return fmt.Sprintf("%d images", n)
}

// ShortDigest returns as much of a digest as tells images apart; --variant takes it.
func ShortDigest(digest string) string {
	return digest[:min(len(digest), len("sha256:")+12)]
}
