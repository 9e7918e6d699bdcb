package convert

import (
	"encoding/json"
	"strings"

	"github.com/hpc3-project/hpc3/launcher/oci"
	"github.com/hpc3-project/hpc3/launcher/squashfs"
)

// The scripts that runtimes of the SIF family start a container by. Apptainer from 1.1 on brings its own; older ones use these.
const (
	sourceAll  = "for script in /.singularity.d/env/*.sh; do\n  [ ! -f \"$script\" ] || . \"$script\"\ndone\nunset script\n"
	actionExec = "#!/bin/sh\n" + sourceAll + "exec \"$@\"\n"
	actionRun  = "#!/bin/sh\n" + sourceAll + "if [ -x /.singularity.d/runscript ]; then\n  exec /.singularity.d/runscript \"$@\"\nfi\nexec /bin/sh \"$@\"\n"
	actionTest = "#!/bin/sh\n" + sourceAll + "if [ -x /.singularity.d/test ]; then\n  exec /.singularity.d/test \"$@\"\nfi\necho 'No test found in this container.' >&2\nexit 0\n"
	actionInit = "#!/bin/sh\n" + sourceAll + "if [ -x /.singularity.d/startscript ]; then\n  exec /.singularity.d/startscript \"$@\"\nfi\n"
	actionSh   = "#!/bin/sh\n" + sourceAll + "for shell in \"$SINGULARITY_SHELL\" /bin/bash /bin/sh; do\n  if [ -n \"$shell\" ] && [ -x \"$shell\" ]; then\n" +
		"    exec \"$shell\" \"$@\"\n  fi\ndone\necho 'There is no shell in this container.' >&2\nexit 1\n"

	envLast = "LD_LIBRARY_PATH=${LD_LIBRARY_PATH:+$LD_LIBRARY_PATH:}/.singularity.d/libs\nPS1='Apptainer> '\nexport LD_LIBRARY_PATH PS1\n"
	envUser = "if [ -n \"${SING_USER_DEFINED_PREPEND_PATH:-}\" ]; then PATH=$SING_USER_DEFINED_PREPEND_PATH:$PATH; fi\n" +
		"if [ -n \"${SING_USER_DEFINED_APPEND_PATH:-}\" ]; then PATH=$PATH:$SING_USER_DEFINED_APPEND_PATH; fi\n" +
		"if [ -n \"${SING_USER_DEFINED_PATH:-}\" ]; then PATH=$SING_USER_DEFINED_PATH; fi\nexport PATH\n" +
		"unset SING_USER_DEFINED_PREPEND_PATH SING_USER_DEFINED_APPEND_PATH SING_USER_DEFINED_PATH\n"
)

// addSingularity adds what makes the image a SIF's in Apptainer's eyes.
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
		{".singularity.d/actions/shell", 0o755, actionSh},
		{".singularity.d/actions/start", 0o755, actionInit},
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
		"singularity": ".singularity.d/runscript", ".run": ".singularity.d/actions/run", ".exec": ".singularity.d/actions/exec",
		".shell": ".singularity.d/actions/shell", ".test": ".singularity.d/actions/test", "environment": ".singularity.d/env/90-environment.sh",
	} {
		s.put(name, note{inode: w.Symlink(s.meta(0o777), target), what: isSymlink})
	}
	for _, dir := range []string{".singularity.d/libs", "dev", "proc", "sys", "root", "home", "tmp", "var/tmp", "etc"} {
		s.dir(dir)
	}
	for _, file := range []string{"etc/hosts", "etc/resolv.conf"} {
		if !s.has(file) {
			s.file(file, 0o644, "")
		}
	}
	return s.err
}

type scripts struct {
	m     *merger
	w     *squashfs.Writer
	mtime int64
	err   error
}

func (s *scripts) meta(mode uint32) squashfs.Meta { return squashfs.Meta{Mode: mode, ModTime: s.mtime} }

func (s *scripts) fail(err error) {
	if s.err == nil {
		s.err = err
	}
}

// at returns a path as a real one; the image's own symlinks on the way are followed (/var -> /private/var). Those that lead in a circle
// give way to a directory.
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

func (s *scripts) has(path string) bool { return s.m.what(s.at(path)) != isNothing }

// put puts something at a path, in place of whatever the image has there. The directories above it are made; files that stand for
// them go.
func (s *scripts) put(path string, n note) {
	at := s.at(path)
	s.fail(s.m.mkdir(s.m.f.paths.parent(at)))
	s.m.remove(at)
	s.m.put(at, s.m.f.notes.add(n)+1)
}

func (s *scripts) file(path string, mode uint32, text string) {
	inode, err := s.w.File(s.meta(mode), int64(len(text)), strings.NewReader(text))
	s.fail(err)
	s.put(path, note{inode: inode, what: isFile})
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
	s.put(path, note{inode: s.w.Directory(s.meta(mode)), what: isDir})
}

// quote returns s as one word of a shell, whatever it holds.
func quote(s string) string { return "'" + strings.ReplaceAll(s, "'", `'"'"'`) + "'" }

// envScript sets the image's variables: PATH as it is, others unless the caller has set them.
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
		b.WriteString(`if [ -z "${` + name + `:-}" ]; then ` + name + "=" + quote(value) + "; fi\nexport " + name + "\n")
	}
	return b.String()
}

func isName(s string) bool {
	for i, c := range []byte(s) {
		if c != '_' && (c < 'A' || c > 'Z') && (c < 'a' || c > 'z') && (i == 0 || c < '0' || c > '9') {
			return false
		}
	}
	return s != ""
}

// runScript runs the image's ENTRYPOINT with the caller's arguments, or with CMD where there are none. Nothing is evaluated twice.
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
