package module

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestCheckCommand(t *testing.T) {
	for name, want := range map[string]string{
		"gmx": "", "g++": "", "@Align_Centers": "", "x86_64-linux-gnu-gcc-12": "", "python3.11": "",
		"a:b": "", "50%": "", "2to3": "", "_x": "", "R": "",
		strings.Repeat("a", 128): "", strings.Repeat("a", 129): "has 129 bytes, the limit is 128",
		"":       "is empty",
		"a/b":    "holds a slash",
		"../x":   `begins with "."`,
		"a b":    "holds a blank",
		"a\tb":   "holds a blank",
		"a'b":    "holds a quote",
		`a"b`:    "holds a quote",
		"a`b`":   "holds a quote",
		"a\nb":   "holds a line break",
		"a$b":    `holds "$"`,
		"a\\b":   `holds "\\"`,
		"a=b":    `holds "="`, // an assignment
		"a,b":    `holds ","`,
		"é":      `holds "é"`,
		"a\xff":  `holds "�"`,
		"-x":     `begins with "-"`,
		".x":     `begins with "."`,
		"%1":     `begins with "%"`,
		"cd":     "is a builtin of the shell, which runs that itself",
		"[":      "is a builtin",
		"while":  "is a builtin",
		"module": "would hide", "ml": "would hide", "hpc3-run": "would hide", "hpc3": "would hide",
	} {
		checkSays(t, "CheckCommand", name, CheckCommand(name), want)
	}
}

func checkSays(t *testing.T, call, arg string, err error, want string) {
	t.Helper()
	if (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
		t.Errorf("%s(%.40q) = %v, want %q", call, arg, err, want)
	}
}

func TestCheckName(t *testing.T) {
	for name, want := range map[string]string{
		"gromacs/2021.5": "", "bio/gromacs/2021.5-avx2_512": "", "c++/12++": "", "a/latest": "",
		"a/" + strings.Repeat("v", 201): "has a part of 201 bytes",
		strings.Repeat("a/", 600):       "has 1200 bytes",
		strings.Repeat("a/", 100) + "1": "",
		"gromacs":                       "has no version; it is NAME/VERSION",
		"gromacs/":                      "has no version",
		"/1":                            "has an empty part",
		"a//1":                          "has an empty part",
		"":                              "has no version",
		".hpc3/1":                       `begins with "."`,
		"a/.version":                    `begins with "."`,
		"a/..":                          `begins with "."`,
		"-a/1":                          `begins with "-"`,
		"~a/1":                          `holds "~", which Environment Modules reads as its own`,
		"+a/1":                          `begins with "+"`,
		"a/1+2":                         `holds "+", which`,
		"a@1/1":                         `holds "@", which`,
		"a=1/1":                         `holds "=", which`,
		"a/1.lua":                       "ends in .lua",
		"a.lua/1":                       "ends in .lua",
		"__hpc3/1":                      `begins with "__", which Lmod passes by`,
		"a/__1":                         `begins with "__"`,
		"_a/1_":                         "",
		"a b/1":                         "holds a blank",
		"a/1$(x)":                       `holds "$"`,
		"a/1\n":                         "holds a line break",
		"a/1;x":                         `holds ";"`,
		"a/{}":                          `holds "{"`,
		"a/ü":                           `holds "ü"`,
		"a/[x]":                         `holds "["`,
		`a\b/1`:                         `holds "\\"`,
	} {
		checkSays(t, "CheckName", name, CheckName(name), want)
	}
}

func TestSplitName(t *testing.T) {
	for full, want := range map[string][2]string{
		"gromacs/1": {"gromacs", "1"}, "bio/gromacs/1": {"bio/gromacs", "1"}, "gromacs": {"gromacs", ""},
		"gromacs/": {"gromacs", ""}, "": {"", ""},
	} {
		if name, version := SplitName(full); name != want[0] || version != want[1] {
			t.Errorf("SplitName(%q) = %q, %q, want %q", full, name, version, want)
		}
	}
}

func TestParseNames(t *testing.T) {
	for list, want := range map[string][]string{
		"": nil, " ": nil, "gmx": {"gmx"}, "gmx, mdrun ,gmx": {"gmx", "mdrun"}, "a\n,b": {"a", "b"},
		"a b": {"a b"},
	} {
		got, err := ParseNames(list)
		if diff := cmp.Diff(want, got); diff != "" || err != nil {
			t.Errorf("ParseNames(%q) = %q, %v, want %q", list, got, err, want)
		}
	}
	for list, want := range map[string]string{
		",": "has an empty name", "a,,b": "has an empty name", "a,": "has an empty name",
		strings.Repeat("a,", 40000): "has 80000 bytes, the limit is 65536",
	} {
		_, err := ParseNames(list)
		checkSays(t, "ParseNames", list, err, want)
	}
}

// FuzzNames: what the checks let through needs no quotes in a shell, and is no path to elsewhere.
func FuzzNames(f *testing.F) {
	for _, s := range []string{"gmx", "a/1", "../x", "$(a)", "a/\n", "c++/12++"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		const unsafe = "\x00\n\r\t \"'`$\\;&|<>()*?[]#~={}!^"
		if CheckCommand(s) == nil && (strings.ContainsAny(s, unsafe+"/,") || s[0] == '-' || s[0] == '.') {
			t.Errorf("CheckCommand(%q) = nil", s)
		}
		if CheckName(s) != nil {
			return
		}
		name, version := SplitName(s)
		if strings.ContainsAny(s, unsafe+":,@") || name+"/"+version != s ||
			strings.Contains("/"+s, "/.") || CheckModule(s) != nil {
			t.Errorf("CheckName(%q) = nil", s)
		}
	})
}
