package habit

import (
	"strings"

	"github.com/hpc3-project/hpc3/launcher/option"
)

// Translation is what a command line of hpc3-run with options of other programs means here.
type Translation struct {
	Hints []string // one for each of these options
	Rest  []string // the image and what follows it
	Line  string   // the same in our words; "" = it is not known
}

// Translate reads the words behind hpc3-run up to the image, and turns the options of other
// programs that it knows into ours.
func Translate(args []string) Translation {
	var t Translation
	line, told := []string{"hpc3-run"}, true
	for len(args) > 0 && strings.HasPrefix(args[0], "-") && args[0] != "-" && args[0] != "--" {
		name, _, joined := strings.Cut(strings.TrimPrefix(args[0][1:], "-"), "=")
		typed := typedAt(args)
		if name == "v" && len(args) > 1 && LooksLikeBind(args[1]) {
			typed = Typed{Name: "--volume", Value: args[1], words: 2}
		} else if o, known := option.Find(name); known {
			n := 1
			if o.TakesValue() && !joined && len(args) > 1 {
				n = 2
			}
			line, args = append(line, Line(args[:n]...)), args[n:]
			continue
		}
		if hint := typed.Hint(); hint != "" {
			t.Hints = append(t.Hints, Line(args[0])+": "+hint)
		}
		words, ok := typed.here()
		line, told = append(line, words...), told && ok
		args = args[typed.words:]
	}
	t.Rest = args
	text := strings.Join(append(line, Line(args...)), " ")
	if told && len(args) > 0 && len(text) <= maxShown {
		t.Line = text
	}
	return t
}

// here returns what to write instead, and whether that is known and complete.
func (t Typed) here() (line []string, ok bool) {
	o := find(t.Name)
	switch {
	case o == nil:
		return nil, false
	case o.Here == "":
		return nil, strings.HasPrefix(o.Why, "leave it out")
	case o.convert == nil:
		return []string{o.Here}, !o.whole
	}
	value := ""
	if t.Value != "" {
		value = o.convert(t.Value)
	}
	return []string{o.Write(value)}, !o.whole && value != ""
}
