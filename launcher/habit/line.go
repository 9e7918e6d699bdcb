package habit

import "strings"

// Ours is what a translation must know of the options of hpc3-run: whether one has this name, without dashes, and whether a value follows it.
type Ours func(name string) (known, valued bool)

// Translation is what a command line of hpc3-run with options of others means here.
type Translation struct {
	Hints []string // one for each of them
	Rest  []string // the image and what follows it
	Line  string   // the same in our words; "" where it cannot be told
}

// Translate reads the words behind hpc3-run up to the image, and turns what it knows of others into ours.
func Translate(args []string, ours Ours) Translation {
	var t Translation
	line, told := []string{"hpc3-run"}, true
	for len(args) > 0 && strings.HasPrefix(args[0], "-") && args[0] != "-" && args[0] != "--" {
		name, _, joined := strings.Cut(strings.TrimPrefix(strings.TrimPrefix(args[0], "-"), "-"), "=")
		typed := typedAt(args)
		if name == "v" && len(args) > 1 && LooksLikeBind(args[1]) {
			typed = Typed{Name: "--volume", Value: args[1], words: 2}
		} else if known, valued := ours(name); known {
			n := 1
			if valued && !joined && len(args) > 1 {
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

// here returns what to write instead, and whether that is known and all.
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
