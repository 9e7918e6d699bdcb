package module

import (
	"bytes"
	"encoding/hex"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// hostile are texts that end a word, begin a command, or continue a line in one of the languages.
var hostile = []string{
	`$HOME ${HOME} $::env(HOME) $(touch evil)`, "[exec touch evil]", `"; exec touch evil; "`, "; exec touch evil",
	"{", "}", "}}}\n exec touch evil\n proc x {} {{{", `\`, `\\`, `\\\`, "a\\\nb", "a\nb\r\nc", "]]", "]==]", "[[", "--[[", "--]]",
	"'", `'"'"'`, "`touch evil`", "#", "# x", "\x00\x01\x1b[31m\x7f", "\u0085\u2028\u202e", "\xff\xfe", "äöü ß", "日本語", "😀 emoji", "%n %s %d",
	`") os.execute("touch evil") --`, `\u0041 \x41 \101 \n`, " leading and trailing ", "-x", "~", "!", "a:b", "*?",
	strings.Repeat("long ", 4000), strings.Repeat("é", 5000),
}

// full returns a module all of whose texts are from next. Its names are valid UTF-8.
func full(next func() string) Module {
	name := func() string { return string([]rune(next())) }
	list := func() []string { return []string{name(), name()} }
	return Module{
		Name: name(), Version: name(), Image: next(), IndexDigest: next(), Commands: list(), Variants: list(), Title: next(),
		Description: next(), Help: next(), URL: next(), Conflicts: list(), Needs: list(), Families: list(),
		Formats: []Format{Tcl, Lua}, Launcher: name(),
	}
}

// modules returns one for each hostile text and some of random mixtures.
func modules() []Module {
	var all []Module
	for _, s := range hostile {
		all = append(all, full(func() string { return s }))
	}
	random := rand.New(rand.NewPCG(1, 2))
	for range 100 {
		all = append(all, full(func() string {
			s := ""
			for range random.IntN(4) {
				s += hostile[random.IntN(len(hostile)-2)]
			}
			return s
		}))
	}
	return all
}

// told is what a stub of the interpreters prints for a call: a word, and the argument in
// hexadecimal digits.
func told(word string, args ...string) (all string) {
	for _, arg := range args {
		all += strings.TrimSpace(word+" "+hex.EncodeToString([]byte(arg))) + "\n"
	}
	return all
}

// calls are what loading a module does.
func calls(m Module) string {
	return told("whatis", m.whatis()...) + told("conflict", m.Name) + told("conflict", m.Conflicts...) + told("prereq", m.Needs...) +
		told("family", m.Families...) + told("PATH", "/tree/"+m.Launcher)
}

// TestTcl runs module files in a real Tcl whose commands tell what they are called with.
func TestTcl(t *testing.T) {
	run(t, "tclsh", ".tcl", `
proc tell {word args} { foreach a $args { puts [string trim "$word [binary encode hex [encoding convertto utf-8 $a]]"] } }
proc help {channel text} { if {$channel ne "stderr"} { error $channel }; tell help $text }
foreach file $argv {
	puts "== $file"
	set i [interp create]
	foreach command {exec open socket exit file source load} { $i hide $command }
	foreach {command word} {module-whatis whatis conflict conflict prereq prereq family family} { $i alias $command tell $word }
	$i alias prepend-path tell
	$i alias puts help
	set f [open $file]
	fconfigure $f -encoding utf-8
	$i eval [read $f]
	close $f
	$i eval ModulesHelp
	interp delete $i
}
`, func(m Module) ([]byte, string) {
		// no character of Tcl 8 has more than 16 bits
		emoji, instead := hex.EncodeToString([]byte("😀")), hex.EncodeToString([]byte("\ufffd"))
		return m.Tcl("/tree/" + m.Launcher), strings.ReplaceAll(calls(m)+told("help", m.help()...), emoji, instead)
	})
}

// TestLua does the same with Lua.
func TestLua(t *testing.T) {
	run(t, "lua", ".lua", `
local function tell(word)
	return function (s)
		local digits = s:gsub(".", function (c) return string.format("%02x", c:byte()) end)
		print((word .. (digits ~= "" and " " .. digits or "")))
	end
end
for _, file in ipairs(arg) do
	print("== " .. file)
	local env = {prepend_path = function (name, s) tell(name)(s) end}
	for _, word in ipairs{"whatis", "conflict", "prereq", "family", "help"} do env[word] = tell(word) end
	assert(loadfile(file, "t", env))()
end
`, func(m Module) ([]byte, string) {
		return m.Lua("/tree/" + m.Launcher), told("help", strings.Join(m.help(), "\n")) + calls(m)
	})
}

// run gives module files to an interpreter, all to one, and compares what they did.
func run(t *testing.T, interpreter, suffix, program string, render func(Module) (file []byte, want string)) {
	t.Helper()
	path, err := exec.LookPath(interpreter)
	if err != nil {
		t.Skipf("there is no %s", interpreter)
	}
	dir := t.TempDir()
	script := filepath.Join(dir, "script"+suffix)
	if err := os.WriteFile(script, []byte(program), 0o600); err != nil {
		t.Fatal(err)
	}
	args := []string{script}
	var want strings.Builder
	for i, m := range modules() {
		text, calls := render(m)
		for line := range bytes.Lines(text) {
			comment := bytes.HasPrefix(line, []byte("# ")) || bytes.HasPrefix(line, []byte("-- "))
			if !comment && bytes.IndexFunc(line, func(r rune) bool { return r >= 0x7f }) >= 0 {
				t.Errorf("%s: not ASCII: %.80q", interpreter, line)
			}
		}
		if second := bytes.SplitN(text, []byte("\n"), 3)[1]; !bytes.Contains(second, []byte(ours)) {
			t.Errorf("%s: the second line is %q", interpreter, second)
		}
		file := filepath.Join(dir, fmt.Sprintf("%d%s", i, suffix))
		if err := os.WriteFile(file, text, 0o600); err != nil {
			t.Fatal(err)
		}
		args = append(args, file)
		want.WriteString("== " + file + "\n" + calls)
	}
	cmd := exec.Command(path, args...)
	cmd.Dir = dir
	cmd.Env = []string{"LANG=C.UTF-8"}
	out, err := cmd.CombinedOutput()
	if diff := cmp.Diff(strings.Split(want.String(), "\n"), strings.Split(string(out), "\n")); diff != "" || err != nil {
		t.Errorf("%s: %v (-want +got):\n%.4000s", interpreter, err, diff)
	}
	if _, err := os.Lstat(filepath.Join(dir, "evil")); err == nil {
		t.Errorf("%s: a text was executed", interpreter)
	}
}
