package harm

import (
	"encoding/binary"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/hpc3-project/hpc3/launcher/convert"

	"github.com/hpc3-project/hpc3/tests/internal/lab"
)

// onlySIF returns the one SIF of a person's cache.
func onlySIF(t *testing.T, l *lab.Lab, p lab.Person) string {
	t.Helper()
	found := l.SIFs(p)
	if len(found) != 1 {
		t.Fatalf("in the cache: %q", found)
	}
	return found[0]
}

// damageData changes a byte in every 50 kB of the content of files.
func damageData(t *testing.T, sif string) {
	t.Helper()
	c, err := convert.Inspect(sif)
	if err != nil {
		t.Fatal(err)
	}
	raw, err := os.ReadFile(sif)
	if err != nil {
		t.Fatal(err)
	}
	const inodeTable = 64 // in the superblock
	end := c.Offset + int64(binary.LittleEndian.Uint64(raw[c.Offset+inodeTable:]))
	for at := c.Offset + 50_000; at < end; at += 50_000 {
		raw[at] ^= 4
	}
	if err := os.Chmod(sif, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(sif, raw, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(sif, 0o400); err != nil {
		t.Fatal(err)
	}
}

// TestDamagedCache: with hpc3's own file server the command is told of a damaged SIF, and the next
// start makes it again; with the others hpc3 cache verify finds it.
func TestDamagedCache(t *testing.T) {
	lab.Needs(t, "apptainer", os.Getuid() == 0, "the lab needs root")
	lab.Needs(t, "apptainer", !testing.Short(), "the lab is not built by a short run")
	l := lab.New(t)
	p := lab.Persons()[0]
	read := []string{l.Image, "sh", "-c", "find /bin/ /usr -type f -exec cat {} + >/dev/null"}
	start := func(engine, reader string, words ...string) (stderr string, status int) {
		_, stderr, status = l.Run(p, engine, append([]string{"--squashfs", reader}, words...)...)
		return stderr, status
	}
	if stderr, status := start("native", "builtin", read...); status != 0 {
		t.Fatalf("the whole image: status %d\n%s", status, stderr)
	}
	sif := onlySIF(t, l, p)
	inLab := "/lab" + strings.TrimPrefix(sif, l.Work)

	damageData(t, sif)
	for range 2 {
		stderr, status := start("native", "builtin", read...)
		if status == 0 || !strings.Contains(stderr, "hpc3-run: error[cache]: the image in "+inLab+" cannot be read: damaged SquashFS: a data block at ") ||
			!strings.Contains(stderr, "hpc3-run: hint: it is set aside as "+filepath.Base(sif)+".damaged: start again, and the image is made anew\n") {
			t.Errorf("a damaged file: status %d\n%s", status, stderr)
		}
		if _, err := os.Stat(sif); err == nil {
			t.Error("the next start would find it")
		}
		if stderr, status := start("native", "builtin", read...); status != 0 || stderr != "" || onlySIF(t, l, p) != sif {
			t.Errorf("the start after that: status %d\n%s", status, stderr)
		}
		if aside, err := filepath.Glob(filepath.Join(filepath.Dir(sif), "*.damaged")); len(aside) > 0 || err != nil {
			t.Errorf("what was set aside stays: %q", aside)
		}
		damageData(t, sif)
	}

	for _, command := range []string{"hpc3 cache verify", "hpc3 cache verify --repair"} {
		out, err := l.Command(p, "native", "sh", "-c", command).CombinedOutput()
		if err == nil || !strings.Contains(string(out), ": "+inLab+": its content is sha256:") {
			t.Errorf("%s: %v\n%s", command, err, out)
		}
	}
	for _, row := range [][2]string{{"native", "squashfuse"}, {"apptainer", "auto"}} {
		if stderr, status := start(row[0], row[1], read...); status != 0 {
			t.Errorf("made anew, through %v: status %d\n%s", row, status, stderr)
		}
	}
}
