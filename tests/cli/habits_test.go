package cli

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/hpc3-project/hpc3/launcher/habit"

	"github.com/hpc3-project/hpc3/tests/internal/lab"
)

// habitsFile holds command lines and their whole answers.
const habitsFile = "testdata/habits"

// TestHabits types what users of other programs type. Nothing of it asks a registry: the address of
// none is reachable here.
func TestHabits(t *testing.T) {
	dir := writeHabits(t)
	var got strings.Builder
	rows := 0
	for line := range strings.Lines(lab.Read(t, habitsFile)) {
		command, typed := strings.CutPrefix(line, "$ ")
		if !typed {
			if strings.HasPrefix(line, "#") || strings.TrimSpace(line) == "" {
				got.WriteString(line)
			}
			continue
		}
		got.WriteString(line + answerTo(t, dir, command))
		rows++
	}
	if rows < 60 {
		t.Errorf("there are %d command lines", rows)
	}
	held(t, habitsFile, got.String())
}

// TestHabitsManual holds the manual's tables against those that the programs answer by.
func TestHabitsManual(t *testing.T) {
	const file = "../../etc/man/hpc3-habits.7"
	var options, commands, lines strings.Builder
	for _, o := range habit.Options {
		names := strings.Join(o.Names, ", ")
		if o.Value != "" {
			names += " " + o.Value
		}
		entry(&options, names, o.From+":", o.Hint())
	}
	for _, c := range habit.Commands {
		entry(&commands, strings.Join(c.Names, ", "), c.From+":", c.Hint(c.Names[0], nil))
	}
	for line := range strings.Lines(lab.Read(t, habitsFile)) {
		line = strings.TrimSpace(line)
		_, hint, hinted := strings.Cut(line, ": hint: ")
		switch command, typed := strings.CutPrefix(line, "$ "); {
		case typed:
			entry(&lines, command)
		case strings.HasPrefix(line, "## "):
			fmt.Fprintf(&lines, ".SS %s\n", roff(line[3:]))
		case hinted:
			fmt.Fprintf(&lines, "%s\n.br\n", roff(hint))
		}
	}
	page := lab.Read(t, file)
	for name, text := range map[string]string{"OPTIONS": options.String(), "COMMANDS": commands.String(), "COMMAND LINES": lines.String()} {
		before, rest, found := strings.Cut(page, ".SH "+name+"\n")
		head, rest, ended := strings.Cut(rest, `.\" made of launcher/habit`)
		_, after, more := strings.Cut(rest, "\n.SH ")
		if !found || !ended || !more {
			t.Fatalf("%s has no section %s with a table", file, name)
		}
		page = before + ".SH " + name + "\n" + head + `.\" made of launcher/habit` + "\n" + text + ".SH " + after
	}
	held(t, file, page)
}

// entry writes a paragraph of a manual with its tag.
func entry(b *strings.Builder, tag string, text ...string) {
	fmt.Fprintf(b, ".TP\n.B \"%s\"\n", strings.ReplaceAll(roff(tag), `"`, `""`))
	for _, line := range text {
		fmt.Fprintln(b, roff(line))
	}
}

// roff writes text as roff has it.
func roff(s string) string {
	s = strings.NewReplacer(`\`, `\e`, "-", `\-`).Replace(s)
	if strings.HasPrefix(s, ".") || strings.HasPrefix(s, "'") {
		return `\&` + s
	}
	return s
}

// answerTo runs a command line, whose answer may hold no name of the directory it runs in.
func answerTo(t *testing.T, dir, line string) string {
	t.Helper()
	cmd := exec.Command("sh", "-c", line)
	cmd.Dir = dir
	cmd.Env = []string{"HOME=" + dir, "PWD=" + dir, "PATH=" + lab.Programs() + ":/usr/bin:/bin", "HPC3_CONFIG=/dev/null", "http_proxy=http://127.0.0.1:9", "https_proxy=http://127.0.0.1:9"}
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	status := 0
	if err := cmd.Run(); err != nil {
		var exit *exec.ExitError
		if !errors.As(err, &exit) {
			t.Fatalf("%s: %v", line, err)
		}
		status = exit.ExitCode()
	}
	text := strings.ReplaceAll(out.String(), dir, "/home/me")
	if status != 125 {
		text += fmt.Sprintf("= %d\n", status)
	}
	return text
}

// held compares a file with what it ought to hold, or writes it with -update.
func held(t *testing.T, file, want string) {
	t.Helper()
	if *update {
		if err := os.WriteFile(file, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if diff := cmp.Diff(want, lab.Read(t, file)); diff != "" {
		t.Errorf("%s differs (-now +file); see -update:\n%s", file, diff)
	}
}

// writeHabits makes a directory with files of all kinds that are taken for images.
func writeHabits(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	sif := "#!/usr/bin/env run-singularity\n\x00SIF_MAGIC\x00"
	for name, content := range map[string]string{
		"gromacs.sqsh": "hsqs", "gromacs.simg": sif, "old.img": strings.Repeat("\x00", 0x438) + "\x53\xef" + strings.Repeat("\x00", 64),
		"Dockerfile": "FROM debian\n", "gromacs.def": "Bootstrap: docker\nFrom: debian\n", "run.sh": "#!/bin/sh\n", "vars": "A=1\n",
		"gromacs.sif.gz": gzipped(t, sif), "saved.tar": tarOf(t, strings.Repeat("ab", 32)+".tar", "manifest.json"), "layout.tar": tarOf(t, "blobs/sha256/x", "index.json"),
		"exported.tar":      tarOf(t, "bin/sh", "etc/passwd"),
		"layout/oci-layout": "{}", "layout/index.json": "{}", "sandbox/.singularity.d/env": "", "rootfs/etc/passwd": "", "rootfs/usr/lib": "", "rootfs/bin/sh": "", "gromacs/water.tpr": "",
	} {
		file := filepath.Join(dir, name)
		err := os.MkdirAll(filepath.Dir(file), 0o755)
		if err == nil {
			err = os.WriteFile(file, []byte(content), 0o644)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func gzipped(t *testing.T, text string) string {
	t.Helper()
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	_, err := w.Write([]byte(text))
	if err = errors.Join(err, w.Close()); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func tarOf(t *testing.T, names ...string) string {
	t.Helper()
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for _, n := range names {
		if err := w.WriteHeader(&tar.Header{Name: n, Typeflag: tar.TypeReg, Mode: 0o644}); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.String()
}
