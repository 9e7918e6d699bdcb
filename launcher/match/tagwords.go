package match

import (
	"regexp"
	"slices"
	"strings"
	"sync"

	"github.com/hpc3-project/hpc3/probe/facts"
)

// Tags are written by people, and by schemes that no two projects share: words are joined by "-",
// "_" or ".", stand before the version or behind it, and say what the image was built with as well
// as where it runs.

// passedBy matches words of a tag that say nothing of where an image runs: operating systems,
// languages, compilers, libraries, kinds of builds.
//
//nolint:gochecknoglobals // constant once compiled
var passedBy = sync.OnceValue(func() *regexp.Regexp {
	return regexp.MustCompile(`^(?:(?:ubuntu|debian|rocky(?:linux)?|alma(?:linux)?|centos|rhel|ubi|el|` +
		`fedora|alpine|opensuse|leap|sles|amzn|al|photon|python|py|cp|gcc|clang|llvm|oneapi|nvhpc|aocc|` +
		`openmpi|ompi|mpich|mvapich|impi|intelmpi|mkl|openblas|cudnn|nccl|ucx|ofi|libfabric|hpcx|torch|` +
		`pytorch|linux)[-_]?\d*(?:\.\d+)*` +
		`|bookworm|bullseye|trixie|buster|bionic|focal|jammy|noble|xenial|psmp|ssmp|popt|sopt|mpi|omp|` +
		`openmp|smp|runtime)$`)
})

// tagGPUs are generations of GPUs that tags are named by. In an index they are labels: "ampere" and
// "hopper" are also makers and names of CPUs. Ampere's GPUs have two capabilities.
//
//nolint:gochecknoglobals // a constant table
var tagGPUs = map[string]string{
	"volta": "nv-compute-7-0", "turing": "nv-compute-7-5", "hopper": "nv-compute-9-0",
	"lovelace": "nv-compute-8-9",
}

// twofold are names of CPUs that are as well those of releases, places, stars and other things.
//
//nolint:gochecknoglobals // a constant list
var twofold = strings.Fields(`m1 m2 m3 m4 k10 core2 rome milan genoa naples turin bergamo grace axion
	altra arm ppc x60 knl siena venice`)

// What a word of a tag is about.
type about int

const (
	aboutNothing about = iota // not understood
	aboutBuild                // passed by
	aboutCPU
	aboutGPU
	aboutOther // a label, a driver, an MPI
)

// tagWord is one word of a tag.
type tagWord struct {
	text    string // as written
	about   about
	token   string // what it demands; "" for nothing
	twofold bool   // it may as well be something else
}

// tagReader reads the tags of one repository.
type tagReader struct {
	*chooser
	labels []string // of the site, lower case
	own    string   // the last part of the repository's name, which tags repeat
	words  map[string]tagWord
}

func newTagReader(repository string, labels []string) *tagReader {
	r := &tagReader{chooser: newChooser(nil, Policy{}), words: map[string]tagWord{}}
	for _, l := range labels {
		r.labels = append(r.labels, strings.ToLower(l))
	}
	r.own = strings.ToLower(repository[strings.LastIndexByte(repository, '/')+1:])
	return r
}

// word reads one word of a tag.
func (r *tagReader) word(text string) tagWord {
	if w, ok := r.words[text]; ok {
		return w
	}
	w := r.readWord(strings.ToLower(text))
	w.text = text
	r.words[text] = w
	return w
}

func (r *tagReader) readWord(word string) tagWord {
	switch {
	case slices.Contains(r.labels, word):
		return tagWord{about: aboutOther, token: word}
	case word == "cpu":
		return tagWord{about: aboutCPU, token: "generic"}
	case word == "x86": // of 32 bits in an index, where nobody names a tag by that
		return tagWord{about: aboutCPU, token: "x86_64"}
	case word == "gpu": // whose, another word has to say
		return tagWord{about: aboutGPU}
	case tagGPUs[word] != "":
		return tagWord{about: aboutGPU, token: tagGPUs[word], twofold: true}
	}
	token := r.tagToken(word)
	d := r.read(token)
	w := tagWord{token: token, twofold: r.isTwofold(word, d)}
	switch d.kind {
	case kindCPU:
		if d.target == nil { // compilers know it, and nobody here
			return tagWord{about: aboutNothing}
		}
		w.about = aboutCPU
	case kindFlags, kindGeneric:
		w.about = aboutCPU
	case kindNVIDIA, kindAMD, kindGPU, kindCUDA:
		w.about = aboutGPU
	case kindDriver, kindMPI, kindGlibc:
		w.about = aboutOther
	default:
		w = tagWord{}
		if passedBy().MatchString(word) || word == r.own {
			w.about = aboutBuild
		}
	}
	return w
}

// isTwofold reports whether a word of the vocabulary is one that tags have in other meanings.
func (r *tagReader) isTwofold(word string, d *demand) bool {
	const short = 3 // "a10", "t4"
	switch {
	case d.kind == kindFlags:
		return !strings.HasPrefix(word, "avx") && !strings.HasPrefix(word, "sse") &&
			!strings.HasPrefix(word, "sve") && !strings.HasPrefix(word, "amx")
	case productBook()[word] != nil:
		return len(word) <= short
	case d.kind != kindCPU:
		return false
	case slices.Contains(twofold, word):
		return true
	}
	// A compiler's name without a number, as "atom" and "vulcan" are; archspec's are of cores.
	_, plain := facts.LookupTarget(word)
	return !plain && strings.Trim(word, "abcdefghijklmnopqrstuvwxyz") == ""
}

// isLevel reports whether a word is a bare level, "v3", which may be a revision as well.
func isLevel(word string) bool {
	return len(word) > 1 && (word[0] == 'v' || word[0] == 'V') &&
		strings.Trim(word[1:], "0123456789.") == ""
}

// split takes a tag apart, from the right and the longest known word first, since words hold
// separators themselves. What is not known is split at each separator; a dot separates only before
// a letter, otherwise it is one of a version.
func (r *tagReader) split(tag string) []tagWord {
	var words []tagWord
	for tag != "" {
		cuts := append(cutsOf(tag), len(tag))
		start := cuts[len(cuts)-2]
		for _, cut := range cuts[:len(cuts)-1] {
			if r.word(tag[cut:]).about != aboutNothing {
				start = cut
				break
			}
		}
		w := r.word(tag[start:])
		// A level is a word behind "_" only, as README says; "-v1" and "1.v2" are rather revisions.
		if isLevel(w.text) && (start == 0 || tag[start-1] != '_') {
			w.twofold = true
		}
		words = append(words, w)
		tag = tag[:max(start-1, 0)]
	}
	slices.Reverse(words)
	return words
}

// cutsOf returns where words of a tag may begin, in order.
func cutsOf(tag string) []int {
	cuts := []int{0}
	for i := 1; i < len(tag); i++ {
		switch c := tag[i-1]; {
		case c == '-' || c == '_', c == '.' && strings.Trim(tag[i:i+1], "0123456789") != "":
			cuts = append(cuts, i)
		}
	}
	return cuts
}

// MayBeVariant reports whether a tag holds another one, so that words or a pattern may make it a
// variant. It is quick: a repository has thousands of tags.
func MayBeVariant(tag, base string) bool {
	if hasParts(tag, base) {
		return true
	}
	digit := func(s string) bool { return s != "" && s[0] >= '0' && s[0] <= '9' }
	for from := 0; base != ""; {
		at := strings.Index(tag[from:], base)
		if at < 0 {
			break
		}
		before, after := tag[:from+at], tag[from+at+len(base):]
		inNumber := before != "" && strings.Trim(before[len(before)-1:], "0123456789.") == ""
		if !inNumber && !digit(after) && !digit(strings.TrimPrefix(after, ".")) {
			return true
		}
		from += at + 1
	}
	return false
}

// hasParts reports whether a tag has the parts of another one in their order, with others before,
// between or behind them.
func hasParts(tag, base string) bool {
	rest := partsOf(base)
	for _, part := range partsOf(tag) {
		if len(rest) > 0 && part == rest[0] {
			rest = rest[1:]
		}
	}
	return len(rest) == 0
}

// partsOf splits a tag at each separator.
func partsOf(tag string) []string {
	var parts []string
	cuts := append(cutsOf(tag), len(tag)+1)
	for i := range len(cuts) - 1 {
		parts = append(parts, tag[cuts[i]:cuts[i+1]-1])
	}
	return parts
}

// beyond returns the words that a tag has beyond those of its base, which must be there in their
// order.
func beyond(tag, base []tagWord) ([]tagWord, bool) {
	var more []tagWord
	for _, w := range tag {
		if len(base) > 0 && w.text == base[0].text {
			base = base[1:]
			continue
		}
		more = append(more, w)
	}
	return more, len(base) == 0
}
