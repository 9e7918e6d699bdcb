package apptainer

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/hpc3-project/hpc3/launcher/fault"
	"github.com/hpc3-project/hpc3/launcher/run/inside"
	"github.com/hpc3-project/hpc3/launcher/run/process"
)

// UnfitError is a failure of Apptainer that hpc3's own engine does not share.
type UnfitError struct{ error }

func (u UnfitError) Unwrap() error { return u.error }

// tryOut makes Apptainer set up the container once and run nothing in it, unless this is known to
// work. After the exec, a failure of Apptainer ends with 255, as a command may; here the two can
// still be told apart. args end with the image.
func (s *start) tryOut(ctx context.Context, img inside.Files, args, env []string) error {
	name := s.tryOutName(args, env)
	if name != "" && s.Memory.Proven != nil && s.Memory.Proven(name) {
		return nil
	}
	cmd := exec.CommandContext(ctx, s.Program.Path)
	var said bytes.Buffer
	cmd.Args = slices.DeleteFunc(slices.Clone(args), func(a string) bool { return a == shareFlag })
	cmd.Env, cmd.Stderr = env, &said
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	cmd.WaitDelay = tryOutGrace
	if err := s.addIdle(cmd, img); err != nil {
		return err
	}
	err := cmd.Run()
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if err == nil {
		s.noteWarnings(said.String())
		if name != "" && s.Memory.Prove != nil {
			s.Memory.Prove(name)
		}
		return nil
	}
	why := ownFailure(err, said.String())
	switch {
	case why == "":
		return nil // the image's shell failed, not Apptainer
	case inside.Lookup(env, "APPTAINER_BIND") != "": // hpc3's own engine would ignore it
		return fault.New(fault.Engine, "starting a container through Apptainer: %s", why).
			Hint("look at APPTAINER_BIND; or use --engine native, without it")
	}
	return UnfitError{fault.New(fault.Engine, "starting a container through Apptainer: %s", why).
		Hint("use --engine native")}
}

// tryOutGrace is the time for what Apptainer leaves when it is told to end.
const tryOutGrace = 500 * time.Millisecond

// addIdle adds a command that does nothing: the image's shell. For an image without a shell it is
// this program, passed as a descriptor, which prints its version.
func (s *start) addIdle(cmd *exec.Cmd, img inside.Files) error {
	if !img.Bare() {
		cmd.Args = append(cmd.Args, img.AnyShell(), "-c", ":")
		return nil
	}
	self, err := os.Open(process.Self)
	if err != nil {
		return fault.New(fault.Engine, "opening this program: %w", fault.Reason(err))
	}
	cmd.ExtraFiles = []*os.File{self}
	cmd.Args = append(cmd.Args, idleSelf, "--version")
	return nil
}

const idleSelf = "/proc/self/fd/3"

// ownFailure says why Apptainer failed; "" if the command failed, not Apptainer.
func ownFailure(err error, said string) string {
	status := new(exec.ExitError)
	if !errors.As(err, &status) {
		return err.Error()
	}
	why := ""
	for line := range strings.Lines(said) {
		for _, level := range []string{"FATAL:", "ERROR:"} {
			text, ok := strings.CutPrefix(strings.TrimSpace(line), level)
			if ok && (why == "" || level == "FATAL:") {
				why = strings.TrimSpace(text)
			}
		}
	}
	switch {
	case strings.Contains(why, idleSelf): // it did not run our command, not the user's
		return ""
	case status.ExitCode() != statusFailed:
		return ""
	case why == "":
		return "it ended with status 255: " + fault.OneLine(said)
	}
	return why
}

// statusFailed is the status of every failure of Apptainer itself.
const statusFailed = 255

// noteWarnings shows Apptainer's warnings under -v: the start itself suppresses them.
func (s *start) noteWarnings(said string) {
	for line := range strings.Lines(said) {
		if text, ok := strings.CutPrefix(strings.TrimSpace(line), "WARNING:"); ok {
			s.Note("Apptainer: " + strings.TrimSpace(text))
		}
	}
}

// tryOutName is made of everything that decides whether Apptainer can make the container: the node
// since its boot, the program, its settings, the image, the options and the limits. It is "" if
// that cannot be determined.
func (s *start) tryOutName(args, env []string) string {
	boot, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		return ""
	}
	h := sha256.New()
	fmt.Fprintf(h, "%s %d %d %q", boot, os.Geteuid(), os.Getegid(), args)
	for _, file := range []string{s.Program.Path, s.Program.Conf.File, s.SIF} {
		if info, err := os.Stat(file); err == nil {
			fmt.Fprintf(h, " %q %d %d", file, info.Size(), info.ModTime().UnixNano())
		}
	}
	for _, e := range env {
		if strings.HasPrefix(e, "APPTAINER_") || strings.HasPrefix(e, "SINGULARITY_") ||
			strings.HasPrefix(e, "PATH=") {
			fmt.Fprintf(h, " %q", e)
		}
	}
	for _, which := range []int{
		unix.RLIMIT_AS, unix.RLIMIT_NOFILE, unix.RLIMIT_NPROC,
		unix.RLIMIT_STACK, unix.RLIMIT_FSIZE, unix.RLIMIT_DATA,
	} {
		var limit unix.Rlimit
		if unix.Getrlimit(which, &limit) == nil {
			fmt.Fprintf(h, " %d", limit.Cur)
		}
	}
	return "apptainer-" + hex.EncodeToString(h.Sum(nil)[:16])
}
