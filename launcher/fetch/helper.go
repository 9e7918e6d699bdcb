package fetch

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/google/go-containerregistry/pkg/authn"

	"github.com/hpc3-project/hpc3/launcher/fault"
)

// maxHelperOutput bounds the output of a credential helper; the largest token seen has some KiB.
const maxHelperOutput = 64 << 10

// help asks a credential helper, docker-credential-NAME, as docker does: "get" with the registry on
// stdin, JSON on stdout. Its output is never quoted.
func (c chain) help(ctx context.Context, name string, p authPath, server string) (
	found authn.AuthConfig, from string, err error,
) {
	program := "docker-credential-" + name
	refuse := func(format string, args ...any) *fault.Error {
		return fault.New(fault.Auth, "asking credential helper %s of %s: "+format,
			append([]any{program, p.path}, args...)...)
	}
	file, err := c.lookPath(program)
	if err != nil {
		return found, "", refuse("%w", err).
			Hint("install it, or take it out of %s, or name another file by --authfile", p.path)
	}
	out, err := c.runHelper(ctx, file, server)
	switch {
	case absent(out) && err != nil:
		return found, "", nil
	case err != nil:
		return found, "", refuse("%w", err).
			Hint("see what it says: echo %s | %s get", server, program)
	}
	var answer struct{ Username, Secret string }
	if json.Unmarshal(out, &answer) != nil {
		return found, "", refuse("what it prints is not the JSON of a credential helper").
			Hint("see what it says: echo %s | %s get", server, program)
	}
	switch {
	case answer.Username == "" && answer.Secret == "":
		return found, "", nil
	case answer.Username == "<token>": // an identity token, by docker's convention
		found.IdentityToken = answer.Secret
	default:
		found.Username, found.Password = answer.Username, answer.Secret
	}
	return found, program, nil
}

// lookPath finds a program in the user's PATH, and ignores relative directories.
func (c chain) lookPath(program string) (string, error) {
	if strings.ContainsRune(program, '/') {
		return "", errors.New("it is not the name of a program")
	}
	for _, dir := range filepath.SplitList(c.env("PATH")) {
		file := filepath.Join(dir, program)
		info, err := os.Stat(file)
		if filepath.IsAbs(dir) && err == nil && info.Mode().IsRegular() &&
			info.Mode().Perm()&0o111 != 0 {
			return file, nil
		}
	}
	return "", errors.New("it is not in PATH")
}

// runHelper returns what a helper printed. A helper that takes too long is killed with its
// children.
func (c chain) runHelper(ctx context.Context, file, server string) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, c.limit)
	defer cancel()
	out := &bounded{left: maxHelperOutput}
	cmd := exec.CommandContext(ctx, file, "get")
	cmd.Stdin = strings.NewReader(server)
	cmd.Stdout = out
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	cmd.WaitDelay = time.Second // for a grandchild that left the group and holds the pipe
	err := cmd.Run()
	var exit *exec.ExitError
	switch {
	case errors.Is(ctx.Err(), context.DeadlineExceeded):
		return nil, fmt.Errorf("no answer within %v", c.limit)
	case ctx.Err() != nil:
		return nil, ctx.Err()
	case out.left < 0:
		return nil, fmt.Errorf("it prints more than %d bytes", maxHelperOutput)
	case errors.As(err, &exit):
		return out.Bytes(), fmt.Errorf("it ended with %s", exit.ProcessState)
	}
	return out.Bytes(), err
}

// absent reports whether a failed helper merely has no entry: it prints one of these phrases of
// docker's library.
func absent(out []byte) bool {
	text := string(out)
	return strings.Contains(text, "credentials not found") ||
		strings.Contains(text, "no credentials server URL") ||
		strings.Contains(text, "no credentials username")
}

// bounded keeps the beginning of what is written to it.
type bounded struct {
	bytes.Buffer
	left int
}

func (b *bounded) Write(p []byte) (int, error) {
	if b.left -= len(p); b.left >= 0 {
		return b.Buffer.Write(p)
	}
	return len(p), nil
}
