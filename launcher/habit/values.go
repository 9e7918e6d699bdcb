package habit

import "strings"

// quote returns a word as a shell takes it.
func quote(s string) string {
	const plain = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-+=:,./@%~#"
	special := s == "" || s[0] == '#' || s[0] == '~' && !strings.HasPrefix(s, "~/")
	if !special && strings.Trim(s, plain) == "" {
		return s
	}
	return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
}

// Line returns words as a shell takes them.
func Line(words ...string) string {
	quoted := make([]string, len(words))
	for i, w := range words {
		quoted[i] = quote(w)
	}
	return strings.Join(quoted, " ")
}

// isPath tells whether a word is a path, not the name of a volume.
func isPath(s string) bool { return strings.HasPrefix(s, ".") || strings.ContainsAny(s, "/~$") }

// binds turns docker's and Apptainer's binds into ours: options of labels and propagation are
// dropped, the others are joined by a plus.
func binds(value string) string {
	var list []string
	for part := range strings.SplitSeq(value, ",") {
		source, rest, _ := strings.Cut(part, ":")
		isOption := !strings.Contains(part, ":") && len(list) > 0 && !isPath(part)
		if isOption { // of the bind before
			if ours := bindOption(part); ours != "" {
				list[len(list)-1] += joint(list[len(list)-1]) + ours
			}
			continue
		}
		if !isPath(source) {
			return "" // a volume
		}
		target, options, _ := strings.Cut(rest, ":")
		bind := source
		if target != "" {
			bind += ":" + target
		}
		if ours := bindOption(options); ours != "" && target != "" {
			bind += ":" + ours
		}
		list = append(list, bind)
	}
	return quote(strings.Join(list, ","))
}

// joint is what stands between a bind and one more option.
func joint(bind string) string {
	if strings.Count(bind, ":") > 1 {
		return "+"
	}
	return ":"
}

func bindOption(word string) string {
	if strings.Contains(" ro rw nosuid nodev noexec ", " "+word+" ") {
		return word
	}
	return ""
}

// mounts turns a value of docker's --mount into ours, or takes what is a bind already.
func mounts(value string) string {
	if !strings.Contains(value, "=") {
		return binds(value)
	}
	var kind, source, target, readonly string
	for field := range strings.SplitSeq(value, ",") {
		key, text, _ := strings.Cut(field, "=")
		switch key {
		case "type":
			kind = text
		case "source", "src":
			source = text
		case "target", "destination", "dst":
			target = text
		case "readonly", "ro":
			readonly = ":ro"
		}
	}
	switch {
	case target == "":
		return ""
	case kind == "tmpfs":
		return quote("tmpfs:" + target)
	case kind != "bind" && kind != "" || !isPath(source):
		return ""
	}
	return quote(source + ":" + target + readonly)
}

// directory returns the path of a directory or device without what stands behind a colon.
func directory(value string) string {
	dir, _, _ := strings.Cut(value, ":")
	return quote(dir)
}

// variables turns Apptainer's list of variables into several options.
func variables(value string) string {
	const letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_"
	var list []string
	for part := range strings.SplitSeq(value, ",") {
		name, _, set := strings.Cut(part, "=")
		if len(list) > 0 && (!set || strings.Trim(name, letters) != "") {
			list[len(list)-1] += "," + part // a comma of the value
			continue
		}
		list = append(list, part)
	}
	for i := range list {
		list[i] = quote(list[i])
	}
	return strings.Join(list, " -e ")
}

// shifters removes the transport from a reference of Shifter's.
func shifters(value string) string { return quote(strings.TrimPrefix(value, "docker:")) }
