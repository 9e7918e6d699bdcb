package site

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"sync"

	"github.com/hpc3-project/hpc3/launcher/fault"
	"github.com/hpc3-project/hpc3/launcher/match"
)

// Feature is a word that describes a node, as match.Describe takes it. It is a struct because the
// TOML decoder calls UnmarshalText of no other type.
type Feature struct{ Word string }

// UnmarshalText refuses what match.Describe would refuse on every node; here the line is known.
func (f *Feature) UnmarshalText(b []byte) error {
	f.Word = string(b)
	return match.CheckWord(string(b))
}

// Word is what a word of Slurm's stands for; empty if it stands for nothing.
type Word struct{ Token string }

// UnmarshalText refuses what no entry can ask for.
func (w *Word) UnmarshalText(b []byte) error {
	w.Token = strings.ToLower(string(b))
	switch {
	case len(b) == 0:
		return nil
	case b[0] == '-':
		return fmt.Errorf("a word of Slurm's cannot stand for %q; \"\" drops the word", b)
	}
	return match.CheckWord(string(b))
}

// checkWords checks that the words on the left can stand in slurm.conf.
func (s Site) checkWords() error {
	for word := range s.Words {
		if word == "" || strings.ContainsAny(word, ", \t\r\n") {
			return fault.New(fault.Config,
				"%s: words: %q cannot be a Feature of Slurm's", s.File, word).
				Hint(`on the left stands one word as in slurm.conf, ` +
					`on the right what it means: ib_hdr = "infiniband"`)
		}
	}
	return nil
}

// ReadsSlurm tells whether the Features of Slurm's nodes are labels here.
func (s Site) ReadsSlurm() bool { return s.SlurmFeatures == nil || *s.SlurmFeatures }

// SlurmLabels returns what the Features that Slurm gives a node stand for, in lower case: what the
// site says or, without that, the word itself and the token that entries use for a plain one.
func (s Site) SlurmLabels(features []string) []string {
	var labels []string
	for _, f := range features {
		word := strings.ToLower(f)
		token, mapped := s.meaning(f)
		switch {
		case !mapped:
			labels = append(labels, word)
			if token := tokenOf(word); token != "" {
				labels = append(labels, token)
			}
		case token.Token != "":
			labels = append(labels, token.Token)
		}
	}
	return labels
}

// meaning returns what a word stands for according to the site. Case counts only if the file has
// the word in two spellings.
func (s Site) meaning(feature string) (token Word, mapped bool) {
	if token, mapped = s.Words[feature]; mapped {
		return token, true
	}
	for _, key := range slices.Sorted(maps.Keys(s.Words)) {
		if strings.EqualFold(key, feature) {
			return s.Words[key], true
		}
	}
	return Word{}, false
}

// Names of products that sites write as Features. The last digit of an EPYC's number is its
// generation; a Xeon E5 has its generation behind the number.
//
//nolint:gochecknoglobals // constant once compiled
var (
	epyc = sync.OnceValue(func() *regexp.Regexp {
		return regexp.MustCompile(`^(?:amd_)?epyc[_-]?(7\d\d2|7\d\d3|9\d\d4|9\d\d5)p?$`)
	})
	e5 = sync.OnceValue(func() *regexp.Regexp {
		return regexp.MustCompile(`^(?:xeon[_-]?)?e5[_-]26\d\d[_-]?v([34])$`)
	})
)

// tokenOf returns the token that a common word means; "" if sites may mean different things by it:
// "ampere" and "hopper" are GPUs and CPUs, "skylake" is a client and a server.
func tokenOf(word string) string {
	if m := epyc().FindStringSubmatch(word); m != nil {
		return "zen" + m[1][len(m[1])-1:]
	}
	if m := e5().FindStringSubmatch(word); m != nil {
		return map[string]string{"3": "haswell", "4": "broadwell"}[m[1]]
	}
	switch word {
	case "ice_lake":
		return "icelake"
	case "cascade_lake":
		return "cascadelake"
	case "sapphire_rapids":
		return "sapphirerapids"
	case "rome":
		return "zen2"
	case "milan":
		return "zen3"
	case "genoa":
		return "zen4"
	case "turin":
		return "zen5"
	case "avx2":
		return "x86_64_v3"
	case "avx512":
		return "x86_64_v4"
	case "v100":
		return "nv-compute-7-0"
	case "a100":
		return "nv-compute-8-0"
	case "h100":
		return "nv-compute-9-0"
	case "l40":
		return "nv-compute-8-9"
	}
	return ""
}

// FeaturesOf returns the platform-features of the node with this host name: those of every node,
// then those of each table that names it, in the order of the file. A later list is applied after
// an earlier one.
func (s Site) FeaturesOf(hostname string) [][]string {
	lists := [][]Feature{s.Features}
	for _, h := range s.Hosts {
		if h.names(hostname) {
			lists = append(lists, h.Features)
		}
	}
	var words [][]string
	for _, list := range lists {
		if len(list) == 0 {
			continue
		}
		one := make([]string, len(list))
		for i, f := range list {
			one[i] = f.Word
		}
		words = append(words, one)
	}
	return words
}

// names tells whether a pattern matches the whole name or the name up to the first dot.
func (h Host) names(hostname string) bool {
	short, _, _ := strings.Cut(hostname, ".")
	return slices.ContainsFunc(h.Match, func(p string) bool {
		return matches(p, hostname) || matches(p, short)
	})
}
