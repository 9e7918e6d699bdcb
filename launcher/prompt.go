package launcher

import (
	"path"
	"slices"
	"strings"
)

// prompt is what stands before the prompt of an interactive shell: nothing, the image's name, or a
// text of the user's in which %i is that.
func prompt(setting, image string) string {
	switch word := strings.ToLower(setting); {
	case slices.Contains([]string{"", "no", "off", "n", "false", "0"}, word):
		return ""
	case slices.Contains([]string{"yes", "on", "y", "true", "1"}, word):
		setting = "[%i] "
	}
	return strings.ReplaceAll(setting, "%i", shortName(image))
}

// shortName is the last part of a reference, without what a shell would take apart in a prompt.
func shortName(image string) string {
	name, digest, pinned := strings.Cut(image, "@")
	name = path.Base(name)
	if _, hex, _ := strings.Cut(digest, ":"); pinned {
		name += "@" + hex[:min(len(hex), 12)]
	}
	return strings.Map(func(r rune) rune {
		letter := r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z'
		if letter || r >= '0' && r <= '9' || strings.ContainsRune("._:@+-", r) {
			return r
		}
		return '_'
	}, name)
}
