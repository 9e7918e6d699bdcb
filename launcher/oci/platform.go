package oci

import (
	"fmt"
	"strings"

	"github.com/hpc3-project/hpc3/launcher/fault"
)

// Platform is where an image runs, as an index or a config states it, in the image specification's
// spelling: GOOS and GOARCH.
type Platform struct {
	OS           string   `json:"os"`
	Architecture string   `json:"architecture"`
	Variant      string   `json:"variant,omitempty"`
	OSVersion    string   `json:"os.version,omitempty"`
	OSFeatures   []string `json:"os.features,omitempty"`
	Features     []string `json:"features,omitempty"`
}

// maxPlatform bounds the text of a platform: three words and a handful of tokens.
const maxPlatform = 4096

//nolint:gochecknoglobals // constant once compiled
var nvcapPattern = pattern(`^([0-9]+)\.([0-9]+)$`)

// isWord reports whether s is one word of a platform.
func isWord(s string) bool {
	return s != "" && strings.Trim(s, lower+digits+"._-") == "" &&
		!strings.ContainsAny(s[:1], "._-")
}

// String returns "os/arch[/variant][:token]…", as "linux/amd64/v3:zen3".
func (p Platform) String() string {
	s := p.OS + "/" + p.Architecture
	if p.Variant != "" {
		s += "/" + p.Variant
	}
	for _, f := range p.Features {
		s += ":" + f
	}
	return s
}

// Architecture returns an architecture in GOARCH spelling: uname's and LLVM's x86_64 and aarch64
// are amd64 and arm64.
func Architecture(s string) string {
	switch s = strings.ToLower(strings.TrimSpace(s)); s {
	case "x86_64", "x86-64":
		return "amd64"
	case "aarch64":
		return "arm64"
	}
	return s
}

// ParsePlatform reads "os/arch[/variant][:token]…" and returns the tokens beside the platform,
// which holds them as its Features. Upper case is folded, "cpu:zen3" and "nvcap:5.2" become "zen3"
// and "nv-compute-5-2". Errors are of class fault.Usage.
func ParsePlatform(s string) (Platform, []string, error) {
	if len(s) > maxPlatform {
		return Platform{}, nil, fault.New(fault.Usage, "a platform of %d bytes, the limit is %d",
			len(s), maxPlatform)
	}
	bad := func(format string, args ...any) error {
		return fault.New(fault.Usage, "platform %.200q: %s", s, fmt.Sprintf(format, args...)).
			Hint("write OS/ARCH[/VARIANT][:TOKEN]…, such as linux/amd64:zen3:nv-compute-8-0")
	}
	words := strings.Split(strings.ToLower(s), ":")
	parts := strings.Split(words[0], "/")
	if len(parts) < 2 || len(parts) > 3 {
		return Platform{}, nil, bad("want an operating system and an architecture")
	}
	for _, part := range parts {
		if !isWord(part) {
			return Platform{}, nil, bad("%q is no word", part)
		}
	}
	p := Platform{OS: parts[0], Architecture: Architecture(parts[1])}
	if len(parts) == 3 {
		p.Variant = parts[2]
	}
	tokens, faults := foldTokens(joinPairs(words[1:]))
	if len(faults) > 0 {
		return Platform{}, nil, bad("%s", faults[0])
	}
	p.Features = tokens
	return p, append([]string(nil), tokens...), nil
}

// joinPairs rejoins "cpu" and "zen3", which stand for one token, "cpu:zen3".
func joinPairs(words []string) []string {
	var out []string
	for i := 0; i < len(words); i++ {
		if (words[i] == "cpu" || words[i] == "nvcap") && i+1 < len(words) {
			out = append(out, words[i]+":"+words[i+1])
			i++
			continue
		}
		out = append(out, words[i])
	}
	return out
}
