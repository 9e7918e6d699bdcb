package run_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/hpc3-project/hpc3/launcher/option"
	"github.com/hpc3-project/hpc3/launcher/run/inside"
)

// random is text that no compressor makes smaller.
func random(seed uint64, n int) string {
	rng := rand.New(rand.NewPCG(seed, 0))
	raw := make([]byte, n)
	for i := range raw {
		raw[i] = byte(rng.Uint32())
	}
	return string(raw)
}

// checkedImage writes an image with checksums into a directory of a user's, and returns a plan to
// read it.
func checkedImage(t *testing.T, uid int, more ...tree) flatPlan {
	t.Helper()
	dir := shared(t)
	sif := filepath.Join(dir, "image")
	all := tree{
		"usr/bin/show": host(filepath.Join(theLab.dir, "show")), "data/large": text(random(1, 300_000)), "data/small": text(random(2, 3000)),
	}
	for i := range 3000 {
		all[fmt.Sprintf("data/many/%s%d", strings.Repeat("n", i%50), i)] = text(random(uint64(i), 10))
	}
	if err := theLab.image(&sif, filepath.Base(dir)+"/image", append(more, all)...); err != nil {
		t.Fatal(err)
	}
	if err := os.Chown(dir, uid, uid); err != nil {
		t.Fatal(err)
	}
	raw, err := os.ReadFile(sif)
	if err != nil {
		t.Fatal(err)
	}
	end := offset + (int64(binary.LittleEndian.Uint64(raw[offset+40:]))+4095)/4096*4096 // of the file system
	return config(flatPlan{
		SIF: sif, Cached: true, Sums: inside.Checksums{Offset: end, Size: int64(len(raw)) - end}, Aside: inside.Aside{Name: sif + ".damaged", Mark: sif + "-mark/1"},
		SquashFS: option.BuiltIn, Entrypoint: option.None,
	})
}

// flip changes a byte of the first file at a place that is chosen by its content.
func flip(t *testing.T, sif string, place func(raw []byte) int) {
	t.Helper()
	raw, err := os.ReadFile(sif)
	if err != nil {
		t.Fatal(err)
	}
	at := place(raw)
	if at < 0 || at >= len(raw) {
		t.Fatalf("no byte %d in %d", at, len(raw))
	}
	raw[at] ^= 0x10
	if err := os.WriteFile(sif, raw, 0o644); err != nil {
		t.Fatal(err)
	}
}

// table is a place in the middle of the table that begins where the superblock says at one place,
// and ends where it says at another.
func table(from, to int) func([]byte) int {
	return func(raw []byte) int {
		begin, end := binary.LittleEndian.Uint64(raw[offset+from:]), binary.LittleEndian.Uint64(raw[offset+to:])
		return offset + int(begin+end)/2
	}
}

// Whatever is wrong in a SIF of a cache, the command never reads something else than was written:
// it is told which file is damaged, and the next start does not find it.
func TestDamagedImage(t *testing.T) {
	l := need(t)
	places := map[string]func([]byte) int{
		"whole": nil, "data": func(raw []byte) int { return bytes.Index(raw, []byte(random(1, 1000))) + 200_000 },
		"a fragment": func(raw []byte) int { return bytes.Index(raw, []byte(random(2, 1000))) + 2000 },
		"inodes":     table(64, 72), "directories": table(72, 80), "the root's inode": func(raw []byte) int { return table(64, 72)(raw)*2 - table(64, 64)(raw) - 20 },
		"the checksums": func(raw []byte) int { return len(raw) - 100 }, "the superblock": func([]byte) int { return offset + 50 },
	}
	for _, who := range callers {
		for name, place := range places {
			t.Run(who.name+"/"+name, func(t *testing.T) {
				s := start{who: who, plan: checkedImage(t, who.uid), command: []string{"/usr/bin/show", "tree", "/data"}}
				if place == nil {
					if got := l.run(t, s); got.status != 0 || strings.Contains(got.stdout+got.stderr, "error") {
						t.Fatalf("status %d, stderr %s", got.status, got.stderr)
					}
					return
				}
				flip(t, s.plan.SIF, place)
				got := l.run(t, s)
				if got.status == 0 && !strings.Contains(got.stdout, "input/output error") || !strings.Contains(got.stderr, "hpc3-run: error[cache]: the image in "+s.plan.SIF+" cannot be read: ") ||
					!strings.Contains(got.stderr, "hpc3-run: hint: it is set aside as image.damaged: start again") || strings.Count(got.stderr, "error[") != 1 {
					t.Errorf("status %d, stderr %s", got.status, got.stderr)
				}
				if _, err := os.Stat(s.plan.SIF); err == nil {
					t.Error("the next start would find it")
				}
				if _, err := os.Stat(s.plan.Aside.Name); err != nil {
					t.Error(err)
				}
			})
		}
	}
}

// A shell that has put its standard error elsewhere for a command is told all the same.
func TestDamageIsToldToAShell(t *testing.T) {
	l := need(t)
	plan := checkedImage(t, unknown.uid, tree{
		"usr/bin/sh": host("/usr/bin/dash"), "usr/bin/cat": host(""), "lib": link("usr/lib"), "lib64": link("usr/lib64"),
	})
	flip(t, plan.SIF, func(raw []byte) int { return bytes.Index(raw, []byte(random(1, 1000))) + 200_000 })
	got := l.run(t, start{who: unknown, plan: plan, command: []string{"/usr/bin/sh", "-c", "cat /data/large >/dev/null 2>/dev/null; echo $?"}})
	if got.stdout != "1\n" || !strings.Contains(got.stderr, "hpc3-run: error[cache]: the image in "+plan.SIF) {
		t.Errorf("stdout %q, stderr %s", got.stdout, got.stderr)
	}
}

// If the caller may not rename the file, a mark is left in the user's cache. A file outside of a
// cache is left alone, and so is one that has replaced the damaged one.
func TestDamagedImageStays(t *testing.T) {
	l := need(t)
	data := func(raw []byte) int { return bytes.Index(raw, []byte(random(1, 1000))) + 200_000 }
	for name, row := range map[string]struct {
		plan   func(*flatPlan)
		class  string
		hint   string
		marked bool
	}{
		"another's": {plan: func(*flatPlan) {}, class: "cache", hint: "your next start passes it over", marked: true},
		"no cache's": {
			plan:  func(p *flatPlan) { p.Cached, p.Aside = false, inside.Aside{} },
			class: "engine", hint: "make or fetch it anew",
		},
		"a link of another's instead of the cache": {
			plan: func(p *flatPlan) {
				cache := filepath.Dir(filepath.Dir(p.Aside.Mark))
				err := os.Rename(cache, cache+"-theirs")
				err = errors.Join(err, os.Chown(cache+"-theirs", 0, 0), os.Chmod(cache+"-theirs", 0o777), os.Symlink(cache+"-theirs", cache))
				if err != nil {
					t.Error(err)
				}
			},
			class: "cache", hint: "you may not replace it; tell who keeps this cache",
		},
		"no mark": {plan: func(p *flatPlan) { p.Aside.Mark = "" }, class: "cache", hint: "remove it"},
	} {
		t.Run(name, func(t *testing.T) {
			s := start{who: unknown, plan: checkedImage(t, 0), command: []string{"/usr/bin/show", "tree", "/data"}}
			marks := shared(t)
			if err := os.Chown(marks, unknown.uid, unknown.uid); err != nil {
				t.Fatal(err)
			}
			s.plan.Aside.Mark = filepath.Join(marks, "words", "mark")
			row.plan(&s.plan)
			flip(t, s.plan.SIF, data)
			got := l.run(t, s)
			if !strings.Contains(got.stdout, "input/output error") || !strings.Contains(got.stderr, "error["+row.class+"]: the image in "+s.plan.SIF+" cannot be read: damaged SquashFS") || !strings.Contains(got.stderr, row.hint) {
				t.Errorf("status %d, stderr %s", got.status, got.stderr)
			}
			if _, err := os.Stat(s.plan.SIF); err != nil {
				t.Error(err)
			}
			if _, err := os.Stat(filepath.Join(marks, "words", "mark")); (err == nil) != row.marked {
				t.Errorf("the mark: %v", err)
			}
		})
	}
}
