package harm

import (
	"bytes"
	"errors"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/hpc3-project/hpc3/tests/internal/lab"
)

// cache is a cache directory that harm is done to.
type cache struct {
	dir   string
	image string
}

// pull is hpc3 pull into the cache.
func (c cache) pull() *exec.Cmd {
	cmd := exec.Command(filepath.Join(lab.Programs(), "hpc3"), "pull", "-q", c.image)
	cmd.Env = []string{"PATH=/usr/bin:/bin", "HOME=" + filepath.Dir(c.dir), "HPC3_CACHEDIR=" + c.dir, "HPC3_CONFIG="}
	return cmd
}

// sifs returns the finished SIFs, and fails if something else is among them.
func (c cache) sifs(t *testing.T) []string {
	t.Helper()
	found, err := filepath.Glob(filepath.Join(c.dir, "sif/*/*"))
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range found {
		if !strings.HasSuffix(f, ".sif") {
			t.Errorf("%s is no SIF", f)
		}
	}
	return found
}

// whole is the only SIF of the cache, which is to have these bytes.
func (c cache) whole(t *testing.T, want []byte) {
	t.Helper()
	sifs := c.sifs(t)
	if len(sifs) != 1 {
		t.Fatalf("the cache holds the SIFs %q, want one", sifs)
	}
	got, err := os.ReadFile(sifs[0])
	if err != nil || !bytes.Equal(got, want) {
		t.Errorf("the SIF has %d bytes, %v, and not the %d of an undisturbed conversion", len(got), err, len(want))
	}
	left, err := os.ReadDir(filepath.Join(c.dir, "tmp"))
	// Small files are written without a lock, so no process can tell at once whether their writer
	// was killed: they go after a day.
	left = slices.DeleteFunc(left, func(e os.DirEntry) bool { return strings.HasPrefix(e.Name(), "small.") })
	if err != nil || len(left) > 0 {
		t.Errorf("temporary files are left: %v, %v", left, err)
	}
}

// undisturbed returns the SIF of a conversion that nothing happens to, and how long it took.
func undisturbed(t *testing.T, image string) ([]byte, time.Duration) {
	t.Helper()
	c := cache{filepath.Join(t.TempDir(), "cache"), image}
	start := time.Now()
	if out, err := c.pull().CombinedOutput(); err != nil {
		t.Fatalf("hpc3 pull: %v\n%s", err, out)
	}
	took := time.Since(start)
	sifs := c.sifs(t)
	if len(sifs) != 1 {
		t.Fatalf("the cache holds the SIFs %q, want one", sifs)
	}
	raw, err := os.ReadFile(sifs[0])
	if err != nil {
		t.Fatal(err)
	}
	return raw, took
}

func harmed(t *testing.T) string {
	t.Helper()
	lab.Needs(t, "registry", os.Getuid() == 0, "the lab needs root")
	lab.Needs(t, "registry", !testing.Short(), "the lab is not built by a short run")
	return "oci:" + lab.Script(t, "login-image")
}

// Killed at any moment, a conversion leaves nothing that counts, and the next one is as if nothing
// had happened.
func TestKilledConversions(t *testing.T) {
	c := cache{filepath.Join(t.TempDir(), "cache"), harmed(t)}
	want, took := undisturbed(t, c.image)
	rng := rand.New(rand.NewPCG(7, 7))
	killed := 0
	for range 25 {
		cmd := c.pull()
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		time.AfterFunc(time.Duration(rng.Int64N(int64(took))), func() { _ = cmd.Process.Kill() }) // it may have ended
		err := cmd.Wait()
		if len(c.sifs(t)) > 0 {
			c.whole(t, want) // it was done before it was killed
			if err := os.RemoveAll(filepath.Join(c.dir, "sif")); err != nil {
				t.Fatal(err)
			}
		} else if err != nil {
			killed++
		}
	}
	if killed < 5 {
		t.Errorf("only %d of 25 conversions were killed on the way", killed)
	}
	if out, err := c.pull().CombinedOutput(); err != nil {
		t.Fatalf("hpc3 pull after %d kills: %v\n%s", killed, err, out)
	}
	c.whole(t, want)
}

// Many who ask for one image at once get one file.
func TestManyConversions(t *testing.T) {
	c := cache{filepath.Join(t.TempDir(), "cache"), harmed(t)}
	want, _ := undisturbed(t, c.image)
	var group sync.WaitGroup
	for range 16 {
		group.Go(func() {
			if out, err := c.pull().CombinedOutput(); err != nil {
				t.Errorf("hpc3 pull: %v\n%s", err, out)
			}
		})
	}
	group.Wait()
	c.whole(t, want)
}

// A full file system is told, leaves nothing behind, and is no obstacle to the next run.
func TestFullCache(t *testing.T) {
	image := harmed(t)
	want, _ := undisturbed(t, image)
	disk := filepath.Join(t.TempDir(), "disk")
	if err := os.Mkdir(disk, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Mount("hpc3-test", disk, "tmpfs", 0, "size=16m,mode=0700"); err != nil {
		lab.Needs(t, "native", false, "no file system can be mounted here: "+err.Error())
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(disk, syscall.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
	c := cache{filepath.Join(disk, "cache"), image}
	out, err := c.pull().CombinedOutput()
	var exit *exec.ExitError
	if !errors.As(err, &exit) || exit.ExitCode() != 3 || !strings.Contains(string(out), "hpc3: error[cache]: ") || !strings.Contains(string(out), "no space left on device") || !strings.Contains(string(out), "hpc3: hint: ") {
		t.Errorf("hpc3 pull onto a full file system: %v\n%s", err, out)
	}
	if left, err := filepath.Glob(filepath.Join(c.dir, "tmp/*")); err != nil || len(left)+len(c.sifs(t)) > 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
	if err := syscall.Mount("", disk, "", syscall.MS_REMOUNT, "size=400m,mode=0700"); err != nil {
		t.Fatal(err)
	}
	if out, err := c.pull().CombinedOutput(); err != nil {
		t.Fatalf("hpc3 pull with room again: %v\n%s", err, out)
	}
	c.whole(t, want)
}
