package convert

import (
	"encoding/json"
	"strings"

	"github.com/hpc3-project/hpc3/launcher/oci"
	"github.com/hpc3-project/hpc3/launcher/squashfs"
)

// The scripts by which Apptainer and its relatives start a container. Apptainer from 1.1 on brings
// its own; older versions use these.
const (
	sourceAll = `for script in /.singularity.d/env/*.sh; do
  [ ! -f "$script" ] || . "$script"
done
unset script
`
	actionExec = "#!/bin/sh\n" + sourceAll + `exec "$@"
`
	actionRun = "#!/bin/sh\n" + sourceAll + `if [ -x /.singularity.d/runscript ]; then
  exec /.singularity.d/runscript "$@"
fi
exec /bin/sh "$@"
`
	actionTest = "#!/bin/sh\n" + sourceAll + `if [ -x /.singularity.d/test ]; then
  exec /.singularity.d/test "$@"
fi
echo 'No test found in this container.' >&2
exit 0
`
	actionStart = "#!/bin/sh\n" + sourceAll + `if [ -x /.singularity.d/startscript ]; then
  exec /.singularity.d/startscript "$@"
fi
`
	actionShell = "#!/bin/sh\n" + sourceAll +
		`for shell in "$SINGULARITY_SHELL" /bin/bash /bin/sh; do
  if [ -n "$shell" ] && [ -x "$shell" ]; then
    exec "$shell" "$@"
  fi
done
echo 'There is no shell in this container.' >&2
exit 1
`

	envLast = `LD_LIBRARY_PATH=${LD_LIBRARY_PATH:+$LD_LIBRARY_PATH:}/.singularity.d/libs
PS1='Apptainer> '
export LD_LIBRARY_PATH PS1
`
	envUser = `if [ -n "${SING_USER_DEFINED_PREPEND_PATH:-}" ]; ` +
		"then PATH=$SING_USER_DEFINED_PREPEND_PATH:$PATH; fi\n" +
		`if [ -n "${SING_USER_DEFINED_APPEND_PATH:-}" ]; ` +
		"then PATH=$PATH:$SING_USER_DEFINED_APPEND_PATH; fi\n" +
		`if [ -n "${SING_USER_DEFINED_PATH:-}" ]; then PATH=$SING_USER_DEFINED_PATH; fi
export PATH
unset SING_USER_DEFINED_PREPEND_PATH SING_USER_DEFINED_APPEND_PATH SING_USER_DEFINED_PATH
`
)

// addSingularity adds the files that Apptainer expects in a SIF.
func addSingularity(m *merger, w *squashfs.Writer, config oci.Config, mtime int64) error {
	labels, err := json.MarshalIndent(nonNil(config.Labels), "", "\t")
	if err != nil {
		return err
	}
	m.layer++
	s := &scripts{m: m, w: w, mtime: mtime}
	for _, file := range []struct {
		path string
		mode uint32
		text string
	}{
		{".singularity.d/actions/exec", 0o755, actionExec},
		{".singularity.d/actions/run", 0o755, actionRun},
		{".singularity.d/actions/shell", 0o755, actionShell},
		{".singularity.d/actions/start", 0o755, actionStart},
		{".singularity.d/actions/test", 0o755, actionTest},
		{".singularity.d/env/01-base.sh", 0o755, "#!/bin/sh\n"},
		{".singularity.d/env/10-docker2singularity.sh", 0o755, envScript(config.Env)},
		{".singularity.d/env/90-environment.sh", 0o755, "#!/bin/sh\n"},
		{".singularity.d/env/99-base.sh", 0o755, "#!/bin/sh\n" + envLast},
		{".singularity.d/env/99-runtimevars.sh", 0o755, "#!/bin/sh\n" + envUser},
		{".singularity.d/runscript", 0o755, runScript(config.Entrypoint, config.Cmd)},
		{".singularity.d/startscript", 0o755, "#!/bin/sh\n"},
		{".singularity.d/labels.json", 0o644, string(labels) + "\n"},
	} {
		s.file(file.path, file.mode, file.text)
	}
	for name, target := range map[string]string{
		"singularity": ".singularity.d/runscript",
		".run":        ".singularity.d/actions/run",
		".exec":       ".singularity.d/actions/exec",
		".shell":      ".singularity.d/actions/shell",
		".test":       ".singularity.d/actions/test",
		"environment": ".singularity.d/env/90-environment.sh",
	} {
		s.put(name, note{inode: w.Symlink(s.meta(0o777), target), kind: isSymlink})
	}
	for _, dir := range []string{
		".singularity.d/libs", "dev", "proc", "sys", "root", "home", "tmp", "var/tmp", "etc",
	} {
		s.dir(dir)
	}
	for _, file := range []string{"etc/hosts", "etc/resolv.conf"} {
		if !s.has(file) {
			s.file(file, 0o644, "")
		}
	}
	return s.err
}

// scripts adds files to a tree. err is the first error.
type scripts struct {
	m     *merger
	w     *squashfs.Writer
	mtime int64
	err   error
}

func (s *scripts) meta(mode uint32) squashfs.Meta {
	return squashfs.Meta{Mode: mode, ModTime: s.mtime}
}

func (s *scripts) fail(err error) {
	if s.err == nil {
		s.err = err
	}
}

// at follows the image's symlinks in a path (/var -> /private/var) and returns the result. Symlinks
// that form a circle are replaced by a directory.
func (s *scripts) at(path string) uint32 {
	parts := strings.Split(path, "/")
	last := len(parts) - 1
	dir, err := s.m.follow(parts[:last])
	if err != nil {
		s.m.remove(s.m.f.paths.walk(parts[:1]))
		dir = s.m.f.paths.walk(parts[:last])
	}
	return s.m.f.paths.child(dir, parts[last])
}

func (s *scripts) has(path string) bool { return s.m.kind(s.at(path)) != isNothing }

// put puts a file at a path and replaces whatever the image has there. It makes the directories
// above, which also replace files.
func (s *scripts) put(path string, n note) {
	at := s.at(path)
	s.fail(s.m.mkdir(s.m.f.paths.parent(at)))
	s.m.remove(at)
	s.m.put(at, s.m.f.notes.add(n)+1)
}

func (s *scripts) file(path string, mode uint32, text string) {
	inode, err := s.w.File(s.meta(mode), int64(len(text)), strings.NewReader(text))
	s.fail(err)
	s.put(path, note{inode: inode, kind: isFile})
}

// dir makes a directory, unless the image has something there.
func (s *scripts) dir(path string) {
	if s.has(path) {
		return
	}
	mode := uint32(0o755)
	if strings.HasSuffix(path, "tmp") {
		mode = 0o1777
	}
	s.put(path, note{inode: s.w.Directory(s.meta(mode)), kind: isDir})
}

// quote returns s as one word of a shell, whatever its content.
func quote(s string) string { return "'" + strings.ReplaceAll(s, "'", `'"'"'`) + "'" }

// envScript returns a script that sets the image's variables: PATH always, others unless the caller
// has set them.
func envScript(env []string) string {
	var b strings.Builder
	b.WriteString("#!/bin/sh\n")
	for _, e := range env {
		name, value, ok := strings.Cut(e, "=")
		if !ok || !isName(name) {
			continue // no shell can set it
		}
		if name == "PATH" {
			b.WriteString("export PATH=" + quote(value) + "\n")
			continue
		}
		b.WriteString(`if [ -z "${` + name + `:-}" ]; then ` + name + "=" + quote(value) + "; fi\n")
		b.WriteString("export " + name + "\n")
	}
	return b.String()
}

func isName(s string) bool {
	for i, c := range []byte(s) {
		letter := c == '_' || c >= 'A' && c <= 'Z' || c >= 'a' && c <= 'z'
		digit := c >= '0' && c <= '9'
		if !letter && (i == 0 || !digit) {
			return false
		}
	}
	return s != ""
}

// runScript returns a script that runs the image's ENTRYPOINT with the caller's arguments, or with
// CMD if there are none. Nothing is evaluated twice.
func runScript(entrypoint, cmd []string) string {
	words := func(list []string) string {
		quoted := make([]string, len(list))
		for i, w := range list {
			quoted[i] = quote(w)
		}
		return strings.Join(quoted, " ")
	}
	script := "#!/bin/sh\n"
	if len(cmd) > 0 {
		script += "if [ $# -eq 0 ]; then\n  set -- " + words(cmd) + "\nfi\n"
	}
	if len(entrypoint) == 0 && len(cmd) == 0 {
		script += "if [ $# -eq 0 ]; then\n  set -- /bin/sh\nfi\n"
	}
	if len(entrypoint) > 0 {
		return script + "exec " + words(entrypoint) + " \"$@\"\n"
	}
	return script + "exec \"$@\"\n"
}

func nonNil(m map[string]string) map[string]string {
	if m == nil {
		return map[string]string{}
	}
	return m
}
