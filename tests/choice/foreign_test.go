package choice

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/mutate"

	"github.com/hpc3-project/hpc3/tests/internal/images"
	"github.com/hpc3-project/hpc3/tests/internal/lab"
)

// TestForeignPlatform runs an image for arm64 if the kernel knows an emulator for it. Since Linux
// 6.7 each user namespace may have a binfmt_misc of its own, so none of this machine's is touched.
func TestForeignPlatform(t *testing.T) {
	if runtime.GOARCH != "amd64" {
		t.Skip("arm64 is to be foreign here")
	}
	emulator, err := exec.LookPath("qemu-aarch64-static")
	lab.Needs(t, "qemu", err == nil, fmt.Sprintf("qemu-user-static is not installed: %v", err))
	const mount = "mount -t binfmt_misc none /proc/sys/fs/binfmt_misc"
	err = exec.Command("unshare", "-Urm", "sh", "-c", mount).Run()
	lab.Needs(t, "native", err == nil, fmt.Sprintf("no binfmt_misc of one's own: %v", err))
	dir := t.TempDir()
	writeForeign(t, dir)
	const header = `\x7fELF\x02\x01\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00\x02\x00\xb7\x00`
	const mask = `\xff\xff\xff\xff\xff\xff\xff\x00\xff\xff\xff\xff\xff\xff\xff\xff\xfe\xff\xff\xff`
	register := func(flags string) string {
		return fmt.Sprintf("%s && echo ':qemu-aarch64:M::%s:%s:%s:%s' >/proc/sys/fs/binfmt_misc/register && ", mount, header, mask, emulator, flags)
	}
	for _, tt := range []struct {
		name, before, option string
		status               int
		out, err             string
	}{
		{"no emulator", "", "", 125, "", "it is for arm64, and this node is amd64, where binfmt_misc has no emulator for it\n"},
		{"one that is opened in the container", register(""), "", 125, "", "; qemu-aarch64 of binfmt_misc lacks the flag F, "},
		{"one that the kernel holds", register("F"), "", 0, "arm64\n", ""},
		{"by force", "", "--force", 126, "", "error[exec]"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			run := fmt.Sprintf("%sexec hpc3-run %s --platform linux/arm64 --container-entrypoint none oci:%s /bin/hello", tt.before, tt.option, dir)
			cmd := exec.Command("unshare", "-Urm", "sh", "-c", run)
			cmd.Env = []string{"PATH=" + lab.Programs() + ":" + os.Getenv("PATH"), "HOME=" + t.TempDir(), "HPC3_CONFIG=" + os.DevNull, "HPC3_ENGINE=native"}
			var stdout, stderr strings.Builder
			cmd.Stdout, cmd.Stderr = &stdout, &stderr
			err := cmd.Run()
			if got := cmd.ProcessState.ExitCode(); got != tt.status || stdout.String() != tt.out || !strings.Contains(stderr.String(), tt.err) {
				t.Errorf("%s: %v, stdout %q, stderr %q; want status %d, %q and %q", run, err, stdout.String(), stderr.String(), tt.status, tt.out, tt.err)
			}
		})
	}
}

// writeForeign writes the layout of an image for arm64 whose /bin/hello says for what it was built.
func writeForeign(t *testing.T, dir string) {
	t.Helper()
	work := t.TempDir()
	source, program := filepath.Join(work, "hello.go"), filepath.Join(work, "hello")
	const text = `package main

import (
	"os"
	"runtime"
)

func main() { os.Stdout.WriteString(runtime.GOARCH + "\n") }
`
	if err := os.WriteFile(source, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	build := exec.Command("go", "build", "-ldflags=-s -w", "-o", program, source)
	build.Env = append(os.Environ(), "GOARCH=arm64", "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v: %v\n%s", build.Args, err, out)
	}
	platform := v1.Platform{OS: "linux", Architecture: "arm64"}
	img, err := images.Small(platform, "")
	if err != nil {
		t.Fatal(err)
	}
	layer, err := images.TarLayer(map[string]string{"bin/hello": lab.Read(t, program)})
	if err != nil {
		t.Fatal(err)
	}
	if img, err = mutate.AppendLayers(img, layer); err != nil {
		t.Fatal(err)
	}
	if _, err = layout.Write(dir, mutate.AppendManifests(empty.Index, mutate.IndexAddendum{Add: img, Descriptor: v1.Descriptor{Platform: &platform}})); err != nil {
		t.Fatal(err)
	}
}
