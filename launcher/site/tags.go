package site

import (
	"path"
	"strings"

	"github.com/hpc3-project/hpc3/launcher/fault"
	"github.com/hpc3-project/hpc3/launcher/match"
)

// Tags says how the tags of repositories are made.
type Tags struct {
	Match   string     `toml:"match"`   // "docker.io/cp2k/cp2k"; "*" is any text without "/"
	Pattern TagPattern `toml:"pattern"` // "{version}-{gpu}"
}

// TagPattern is a pattern of match.
type TagPattern struct{ match.TagPattern }

// UnmarshalText refuses what is no pattern; here the line is known.
func (p *TagPattern) UnmarshalText(b []byte) (err error) {
	p.TagPattern, err = match.ParseTagPattern(string(b))
	return err
}

// TagPatternsOf returns the patterns for a repository such as "docker.io/library/app", in the order
// of the file.
func (s Site) TagPatternsOf(repository string) []match.TagPattern {
	var patterns []match.TagPattern
	for _, t := range s.Tags {
		if ok, err := path.Match(t.Match, repository); ok && err == nil {
			patterns = append(patterns, t.Pattern.TagPattern)
		}
	}
	return patterns
}

func (s Site) checkTags() error {
	for _, t := range s.Tags {
		_, err := path.Match(t.Match, "")
		registry, _, rest := strings.Cut(t.Match, "/")
		switch {
		case err != nil || !rest || !strings.ContainsAny(registry, ".:*") && registry != "localhost":
			return fault.New(fault.Config, "%s: tags: %q is no repository with its registry", s.File,
				t.Match).
				Hint(`an example: match = "docker.io/cp2k/*", pattern = "{version}_{word}_{any}"`)
		case t.Pattern.String() == "":
			return fault.New(fault.Config, "%s: tags: no pattern is given for %s", s.File, t.Match).
				Hint(inManual)
		}
	}
	return nil
}
