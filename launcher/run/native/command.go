package native

import (
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/hpc3-project/hpc3/launcher/fault"
	"github.com/hpc3-project/hpc3/launcher/run/inside"
)

// notExecuted says why the command was not found, or why executing it failed: with err.
func (st *Stage) notExecuted(err error) error {
	if st.Whose != "" {
		return fault.WithHint(st.whyNotExecuted(err), "%s", st.Whose)
	}
	return st.whyNotExecuted(err)
}

func (st *Stage) whyNotExecuted(err error) error {
	file, notFound := find(st.Words[0], inside.Lookup(st.Env, "PATH"))
	if notFound != nil {
		err = notFound
	}
	e := fault.New(fault.Exec, "running %q: %w", st.Words[0], fault.Reason(err))
	switch {
	case errors.Is(err, exec.ErrNotFound), errors.Is(err, fs.ErrNotExist) && file == "":
		e = fault.New(fault.Exec, "running %q: no such command in the image", st.Words[0])
		list := " IMAGE ls /usr/bin"
		if st.Tool {
			list = " exec ... ls /usr/bin"
		}
		return e.Hint("give its path, or see what is there: %s", st.Prefix+list).
			Exit(fault.StatusNotFound)
	case errors.Is(err, unix.E2BIG):
		return e.Hint("the kernel bounds arguments and environment together: make one of them shorter").Exit(fault.StatusNotExecutable)
	case errors.Is(err, unix.ENOEXEC):
		return e.Hint("it is for another architecture, or a script without a first line #!").
			Exit(fault.StatusNotExecutable)
	case errors.Is(err, fs.ErrNotExist):
		return e.Hint("the interpreter or loader that it names is not in the image").
			Exit(fault.StatusNotExecutable)
	}
	return e.Hint("look at its mode").Exit(fault.StatusNotExecutable)
}

// find looks for a command as a shell does: a word with a slash is a path.
func find(word, searchPath string) (string, error) {
	if strings.Contains(word, "/") {
		if _, err := os.Stat(word); err != nil {
			return "", err
		}
		return word, nil
	}
	if word == "" {
		return "", exec.ErrNotFound
	}
	var denied error
	for dir := range strings.SplitSeq(searchPath, ":") {
		file := path.Join(dir, word)
		info, err := os.Stat(file)
		if err != nil || info.IsDir() || dir == "" {
			continue
		}
		if unix.Access(file, unix.X_OK) == nil {
			return file, nil
		}
		denied = fs.ErrPermission
	}
	if denied != nil {
		return "", denied
	}
	return "", exec.ErrNotFound
}

// StatusNo is the exit status of hpc3 if the answer is no: there is nothing to enter, or it is not
// allowed. statusUnknown is that of any other failure.
const (
	StatusNo      = 1
	statusUnknown = 3
)

// toolStatus is the exit status of hpc3 for a failure that ends a task with status: no if there is
// no such command, or none that can be executed.
func toolStatus(status int) int {
	switch status {
	case fault.StatusNotFound, fault.StatusNotExecutable:
		return StatusNo
	}
	return statusUnknown
}
