package fetch

import (
	"slices"
	"strconv"
	"strings"

	"github.com/hpc3-project/hpc3/launcher/oci"
)

// positionOf reads "@N", the notation of skopeo and podman for a nameless image of an archive or
// layout.
func positionOf(tag string) (n int, is bool) {
	digits, is := strings.CutPrefix(tag, "@")
	n, err := strconv.Atoi(digits)
	return n, is && err == nil && n >= 0 && strconv.Itoa(n) == digits
}

// named returns the positions of the images that a name stands for: those with this full name,
// where "x/y:1" is docker.io/x/y:1, else those whose name ends in it.
func named(name string, images int, names func(int) []string) (found []int) {
	if name == "" {
		return nil
	}
	whole := inFull(name)
	for _, is := range []func(string) bool{
		func(other string) bool { return other == name },
		func(other string) bool { return whole != "" && inFull(other) == whole },
		func(other string) bool { return strings.HasSuffix(other, ":"+name) },
	} {
		for i := range images {
			if slices.ContainsFunc(names(i), is) {
				found = append(found, i)
			}
		}
		if found != nil {
			return found
		}
	}
	return nil
}

// inFull returns an image's name as registries know it; "" for anything else, such as a mere tag.
func inFull(name string) string {
	if !strings.ContainsAny(name, ":/") { // "latest" is a tag here, and no image of that name
		return ""
	}
	ref, err := oci.ParseReference("docker://" + name)
	if err != nil {
		return ""
	}
	return ref.String()
}
