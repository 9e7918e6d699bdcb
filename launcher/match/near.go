package match

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"sync"

	"github.com/hpc3-project/hpc3/launcher/habit"
	"github.com/hpc3-project/hpc3/probe/facts"
)

// maxNear bounds for how many words of one choice the nearest known one is looked for: each takes a
// fraction of a millisecond, and people read but a few.
const maxNear = 8

// forms are the words that hold numbers, with an example of each. A number is compared as a digit.
//
//nolint:gochecknoglobals // a constant table
var forms = []struct{ form, example string }{
	{"nv-compute-0-0", "nv-compute-9-0"},
	{"nv-compute-0-0a", "nv-compute-9-0a"},
	{"nv-ptx-0-0", "nv-ptx-9-0"},
	{"nvidia-0-0", "nvidia-550-54"},
	{"nvidia-0-0-0", "nvidia-550-54-15"},
	{"cuda-0-0", "cuda-12-4"},
	{"cuda-compat-0-0", "cuda-compat-12-9"},
	{"rocm-0-0", "rocm-6-3"},
	{"glibc-0-0", "glibc-2-28"},
	{"mpi-openmpi-0-0", "mpi-openmpi-4-1"},
	{"mpi-openmpi-0-0-0", "mpi-openmpi-5-0-3"},
}

// vocabulary is all words without numbers that are known, sorted.
//
//nolint:gochecknoglobals // constant once made
var vocabulary = sync.OnceValue(func() []string {
	words := slices.Concat(facts.Targets(), facts.Later(), slices.Collect(maps.Keys(productBook())),
		[]string{"generic", "mpi-openmpi", "mpi-mpich", "mpi-mpiabi", "cuda", "cuda-compat", "rocm"})
	for name, row := range compilerBook() {
		if row != "" {
			words = append(words, strings.ReplaceAll(name, "_", "-"))
		}
	}
	for row := range unfolded(plainFlags) {
		_, flags, _ := strings.Cut(row, "|")
		words = append(words, strings.Fields(flags)...)
	}
	for _, chip := range []string{"gfx906", "gfx908", "gfx90a", "gfx942", "gfx950"} {
		words = append(words, "amd-"+chip)
	}
	slices.Sort(words)
	return slices.Compact(words)
})

//nolint:gochecknoglobals // constant once compiled
var digits = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`\d+`) })

// nearestWord returns the known word of which a word is probably a misspelling; "" if none is near.
// Short words are near to too many.
func nearestWord(word string) string {
	const least = 4
	if len(word) < least || len(word) > maxTag {
		return ""
	}
	for _, begin := range []string{"mpi-", "amd-"} { // words that people leave the beginning out of
		if _, ok := readPattern(begin + hyphened(word)); ok {
			return begin + hyphened(word)
		}
	}
	if form := nearestForm(word); form != "" {
		return form
	}
	word = underscored(word) // which separates a CPU's name is no mistake
	var alike, folded []string
	for _, known := range vocabulary() {
		// Who misspells a word has mostly its beginning right or, if not that, the rest.
		apart := max(len(known)-len(word), len(word)-len(known))
		if len(known) < least || apart > len(word)/3 {
			continue
		}
		if known[0] == word[0] || known[1:] == word[1:] {
			alike, folded = append(alike, known), append(folded, underscored(known))
		}
	}
	if i := slices.Index(folded, habit.Misspelt(word, folded)); i >= 0 {
		return alike[i]
	}
	return ""
}

// nearestForm returns the word with numbers that a word was probably meant to be, with the numbers
// of the word if it has as many.
func nearestForm(word string) string {
	numbers := digits().FindAllString(word, -1)
	if len(numbers) == 0 {
		return ""
	}
	plain := digits().ReplaceAllString(hyphened(word), "0")
	begin, _, _ := strings.Cut(plain, "0")
	const least = 4 // letters before the first number
	if len(begin) < least {
		return ""
	}
	var known []string
	for _, f := range forms {
		known = append(known, f.form)
	}
	near := habit.Misspelt(plain, known)
	i := slices.Index(known, near)
	if i < 0 {
		return ""
	}
	if strings.Count(near, "0") != len(numbers) {
		return forms[i].example
	}
	var spelled strings.Builder
	for i, part := range strings.Split(near, "0") {
		spelled.WriteString(part)
		if i < len(numbers) {
			spelled.WriteString(numbers[i])
		}
	}
	return spelled.String()
}

// probably says which word a label was probably meant to be, as the end of a sentence.
func (h *host) probably(d *demand) string {
	near := habit.Misspelt(d.token, h.labels)
	if near == "" && d.near != nil {
		near = d.near()
	}
	if near == "" {
		return ""
	}
	return fmt.Sprintf("; it is probably misspelt for %q", near)
}

// nearOf returns a function that looks for the nearest word once, unless this choice did so for
// many.
func (c *chooser) nearOf(token string) func() string {
	return sync.OnceValue(func() string {
		if c.nears++; c.nears > maxNear {
			return ""
		}
		return nearestWord(token)
	})
}

// contradiction returns why an entry suits no node: two words of CPUs of which none can be both.
func (c *chooser) contradiction(demands []*demand) string {
	for i, d := range demands {
		for _, e := range demands[:i] {
			if d.target == nil || e.target == nil ||
				d.target.is(e.target) || e.target.is(d.target) {
				continue
			}
			families := d.target.root != e.target.root
			// Cores of ARM's architecture run the code of other vendors' cores.
			vendors := !d.target.generic && !e.target.generic && d.target.root != "aarch64" &&
				d.target.Vendor != e.target.Vendor
			if families || vendors && !c.policy.CPUFeatures {
				return fmt.Sprintf("asks for %s and %s, which contradict one another: no CPU is both",
					named(e), named(d))
			}
		}
	}
	return ""
}
