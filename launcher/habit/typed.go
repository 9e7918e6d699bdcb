package habit

import (
	"slices"
	"strings"

	"github.com/hpc3-project/hpc3/launcher/option"
)

func words(names string) []string { return strings.Fields(names) }

// find returns the entry of an option as it was typed, with its dashes; nil = there is none.
func find(name string) *Option {
	for i := range Options {
		if slices.Contains(Options[i].Names, name) {
			return &Options[i]
		}
	}
	return nil
}

// Typed is an option on a command line that is none of ours.
type Typed struct {
	Name  string // as it was typed, with its dashes and without a value
	Value string // what follows it; "" = nothing

	joined string // the value with its equals sign; "" = there is none
	words  int    // how many words of the command line it takes
}

// typedAt returns the option that the first word is.
func typedAt(args []string) Typed {
	name, value, valued := strings.Cut(args[0], "=")
	t := Typed{Name: name, Value: value, words: 1}
	switch o := find(name); {
	case valued:
		t.joined = "=" + value
	case o == nil || o.Value == "" || len(args) < 2:
	case strings.HasPrefix(args[1], "-") && args[1] != "-":
	case !o.modes || isMode(args[1]):
		t.Value, t.words = args[1], 2
	}
	return t
}

// isMode tells whether a word is a value of docker's and podman's options for namespaces.
func isMode(s string) bool {
	modes := words("host none private shareable keep-id nomap auto bridge slirp4netns pasta")
	return slices.Contains(modes, s) || strings.HasPrefix(s, "container:")
}

// FindTyped returns the option that a parser of options has refused, by its name without dashes.
func FindTyped(args []string, refused string) Typed {
	for i, arg := range args {
		name, _, _ := strings.Cut(arg, "=")
		name, isOption := strings.CutPrefix(name, "-")
		if isOption && strings.TrimPrefix(name, "-") == strings.TrimPrefix(refused, "-") {
			return typedAt(args[i:])
		}
	}
	dashes := "--"
	if len(refused) == 1 {
		dashes = "-"
	}
	return Typed{Name: dashes + refused}
}

// Hint says what an option is here; "" where it is not known.
func (t Typed) Hint() string {
	if o := find(t.Name); o != nil {
		return o.hint(t.Value)
	}
	return t.letter()
}

// letter says what a letter with something joined to it may be: -B/data, -v/a:/b, -p8080:80.
func (t Typed) letter() string {
	if len(t.Name) < 3 || t.Name[1] == '-' {
		return ""
	}
	letter, rest := t.Name[:2], t.Name[2:]
	ours, _ := option.Find(letter[1:])
	switch {
	case letter == "-v" && LooksLikeBind(rest):
		return VolumeHint(rest)
	case ours.TakesValue():
		return "put a blank between them: " + letter + " " + quote(rest+t.joined)
	case areSwitches(t.Name[1:]):
		return "write them apart: -" + strings.Join(strings.Split(t.Name[1:], ""), " -")
	}
	if o := find(letter); o != nil {
		return o.hint(rest)
	}
	return ""
}

// areSwitches tells whether each letter is a switch of ours.
func areSwitches(letters string) bool {
	return !strings.ContainsFunc(letters, func(letter rune) bool {
		o, known := option.Find(string(letter))
		return !known || o.TakesValue()
	})
}

// InSlurm says what an option of pyxis, without its dashes, is to srun, sbatch and salloc.
func InSlurm(name, value string) string {
	if name == "container-image" {
		return "here it is --container=" + quote(value)
	}
	return Typed{Name: "--" + name, Value: value}.Hint()
}

// LooksLikeBind tells whether a word is a value of docker's -v, and no image in a file. Both may
// stand behind -v, which is --verbose here.
func LooksLikeBind(s string) bool {
	for _, transport := range []string{"oci:", "oci-archive:", "docker-archive:", "sif:"} {
		if strings.HasPrefix(s, transport) {
			return false
		}
	}
	if strings.HasSuffix(s, ".sif") && !strings.Contains(s, ":") {
		return false
	}
	for _, path := range []string{"/", "./", "../", "~/"} {
		if strings.HasPrefix(s, path) {
			return true
		}
	}
	return strings.Contains(s, ":/") && !strings.Contains(s, "://")
}

// VolumeHint says what docker's -v is here; our -v is --verbose.
func VolumeHint(value string) string { return find("--volume").hint(value) }

// hint says what the option with this value is here.
func (o *Option) hint(value string) string {
	if o.Here == "" {
		return o.Why
	}
	ours := ""
	if o.Value != "" && o.convert != nil && value != "" {
		ours = o.convert(value)
	}
	text := "here it is " + o.Write(ours)
	if o.Why != "" {
		text += "; " + o.Why
	}
	return text
}

// Hint says what the option is here with any value.
func (o *Option) Hint() string { return o.hint("") }

// Write returns what to write here for a value of ours; for "", with the metavariable.
func (o *Option) Write(value string) string {
	if value == "" {
		value = o.Value
	}
	return strings.ReplaceAll(o.Here, "%s", value)
}
