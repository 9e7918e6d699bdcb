package run_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// The entry of each architecture looks at the limits. It is told to need more than an emulator
// does.
func TestEveryEntryLooksAtLimits(t *testing.T) {
	required := slices.Contains(strings.Split(os.Getenv("HPC3_REQUIRE"), ","), "qemu")
	if testing.Short() {
		t.Skip("it builds the engine for each architecture")
	}
	need(t)
	const entry = "github.com/hpc3-project/hpc3/launcher/run/native."
	flags := "-s -w -E " + entry + "entry -X " + entry + "needMemory=80000000 -X " + entry + "needFiles=200 -X " + entry + "needProcesses=9"
	for arch, emulator := range map[string]string{"amd64": "x86_64", "arm64": "aarch64", "ppc64le": "ppc64le", "riscv64": "riscv64"} {
		t.Run(arch, func(t *testing.T) {
			qemu, err := exec.LookPath("qemu-" + emulator + "-static")
			if err != nil && required {
				t.Fatal(err)
			} else if err != nil {
				t.Skip(err)
			}
			program := filepath.Join(shared(t), "planrun")
			build := exec.Command("go", "build", "-trimpath", "-ldflags", flags, "-o", program, "./testdata/planrun")
			build.Env = append(os.Environ(), "CGO_ENABLED=0", "GOARCH="+arch)
			if out, err := build.CombinedOutput(); err != nil {
				t.Fatalf("building: %v\n%s", err, out)
			}
			for limit, want := range map[string]string{
				"ulimit -v 79999999": "starting needs 80000000 kB of address space, and the limit (RLIMIT_AS, ulimit -v) is 79999999 kB: raise it\n",
				"ulimit -n 199":      "starting needs 200 open files, and the hard limit (RLIMIT_NOFILE, ulimit -Hn) is 199: raise it\n",
				"ulimit -u 6":        "starting needs 9 processes and threads, and the limit of the user's (RLIMIT_NPROC, ulimit -u), 6, leaves fewer: raise it, or end some of them\n",
				"ulimit -v 80000000; ulimit -n 200; ulimit -u 200": "",
			} {
				cmd := exec.Command("setpriv", "--reuid", "45452", "--clear-groups", "--", "bash", "-c", limit+`; exec "$@"`, "sh", qemu, program, "/nonexistent")
				out, err := cmd.CombinedOutput()
				// qemu may complain of the processes that it cannot make itself.
				if said := "hpc3-run: error[engine]: " + want; want != "" && (!strings.HasSuffix(string(out), said) || cmd.ProcessState.ExitCode() != 125) {
					t.Errorf("%s: %v, %q; want %q", limit, err, out, said)
				}
				if want == "" && !strings.Contains(string(out), "open /nonexistent") {
					t.Errorf("%s: %v, %q, and it is to start", limit, err, fmt.Sprintf("%.200s", out))
				}
			}
		})
	}
}
