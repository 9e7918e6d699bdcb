package module

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// inContainer executes its arguments where / has what a container's has, and the rest as here.
const inContainer = `set -e
root=$1
shift
mount -t tmpfs none "$root"
for name in /*; do
	[ "$name" != /lost+found ] || continue
	if [ -L "$name" ]; then
		cp -a "$name" "$root$name"
	elif [ -d "$name" ]; then
		mkdir "$root$name"
		mount --rbind "$name" "$root$name"
	fi
done
mkdir "$root/.singularity.d"
exec chroot "$root" "$@"
`

// container returns the words that run others in a container.
func container(t *testing.T) []string {
	t.Helper()
	words := []string{"unshare", "-rm", "sh", "-c", inContainer, "-", t.TempDir()}
	if out, err := exec.Command(words[0], append(words[1:], "true")...).CombinedOutput(); err != nil {
		t.Skipf("no mount namespace can be made: %v, %s", err, out)
	}
	return words
}

// command writes a program that prints a word, its arguments and its variables of hpc3.
func command(t *testing.T, file, word string, mode os.FileMode) string {
	t.Helper()
	text := "#!/bin/sh\nprintf '%s\\n' " + word + " \"$@\"\nenv | grep ^HPC3_SHIM | sed s/=.*//\nexit 7\n"
	for _, err := range []error{os.MkdirAll(filepath.Dir(file), 0o755), os.WriteFile(file, []byte(text), mode)} {
		if err != nil {
			t.Fatal(err)
		}
	}
	return filepath.Dir(file)
}

func copyFile(t *testing.T, from, to string) string {
	t.Helper()
	text, err := os.ReadFile(from)
	if err != nil {
		t.Fatal(err)
	}
	for _, err := range []error{os.MkdirAll(filepath.Dir(to), 0o755), os.WriteFile(to, text, 0o755)} {
		if err != nil {
			t.Fatal(err)
		}
	}
	return filepath.Dir(to)
}

// TestShimInside: in a container of its image a shim is the command itself, and never a loop.
func TestShimInside(t *testing.T) {
	in := container(t)
	const index, manifest = "sha256:1111", "sha256:2222"
	s := newShims(t, func(m *Module) { m.IndexDigest, m.ImageDigest, m.Launcher = index, manifest, "" })
	dir := t.TempDir()
	real := command(t, dir+"/real/gmx", "real", 0o755)
	text := command(t, dir+"/text/gmx", "text", 0o644)
	one, two := copyFile(t, s.gmx, dir+"/one/gmx"), copyFile(t, s.gmx, dir+"/two/gmx")
	links, odd := dir+"/links", dir+"/odd"
	for _, err := range []error{
		os.Mkdir(links, 0o755), os.Symlink(s.gmx, links+"/gmx"), os.MkdirAll(odd+"/gmx", 0o755),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	bin, ref := s.tree.Bin(s.Module), "HPC3_IMAGE_REF="+image
	const system = "/usr/bin:/bin"
	type row struct {
		path   string
		env    []string
		out    string // printed by the command, which ends with 7
		status int    // of the shim, without the command
		says   string
	}
	rows := map[string]row{
		"by name":                {real, []string{ref}, "real", 0, ""},
		"by name and digest":     {real, []string{ref + "@sha256:3333"}, "real", 0, ""},
		"by the index":           {real, []string{"HPC3_IMAGE_REF=other", "HPC3_INDEX_DIGEST=" + index}, "real", 0, ""},
		"by the manifest":        {real, []string{"HPC3_IMAGE_DIGEST=" + manifest}, "real", 0, ""},
		"past shims":             {bin + ":" + links + ":" + real, []string{ref}, "real", 0, ""},
		"past what cannot run":   {"/nonexistent:" + text + ":" + odd + "::" + real, []string{ref}, "real", 0, ""},
		"though hpc3-run called": {real, []string{ref, "HPC3_SHIM=x"}, "real", 0, ""},
		"a copy":                 {one + ":" + real, []string{ref}, "", 127, "gmx, a command of the module gromacs/2021.5, calls itself: PATH leads to copies of it"},
		"copies":                 {one + ":" + two, []string{ref}, "", 127, "remove the copies"},
		"absent":                 {bin, []string{ref}, "", 127, "error[exec]: no directory of PATH in this container has gmx"},
		"absent, no PATH":        {"", []string{ref}, "", 127, "no directory of PATH"},
		"another name":           {real, []string{ref + "-2"}, "", 125, "this is a container of another image, and gmx, a command of the module gromacs/2021.5, runs in " + image},
		"another tag":            {real, []string{"HPC3_IMAGE_REF=docker.io/qnib/gromacs", "HPC3_INDEX_DIGEST=sha256:1", "HPC3_IMAGE_DIGEST=" + index}, "", 125, "call it outside of containers"},
		"not hpc3's":             {real, nil, "", 125, "this is a container of another image"},
		"called by hpc3-run":     {real, []string{"HPC3_SHIM=x"}, "", 125, "hpc3-run itself has called gmx"},
	}
	for shell, words := range shells(t) {
		for name, r := range rows {
			env := append([]string{"PATH=" + r.path + ":" + system}, r.env...)
			call := slices.Concat(in, []string{"env", "-i"}, env, words, []string{s.gmx, "a b", ""})
			out, errs, state := output([]string{"PATH=/usr/sbin:/sbin:" + system}, "/", nil, call...)
			if r.out != "" {
				r.status = 7
				r.out += "\na b\n\nHPC3_SHIM_INSIDE\n"
				if slices.Contains(r.env, "HPC3_SHIM=x") {
					r.out = strings.Replace(r.out, "HPC3_SHIM_I", "HPC3_SHIM\nHPC3_SHIM_I", 1)
				}
			}
			if state.ExitCode() != r.status || sorted(string(out)) != sorted(r.out) || !strings.Contains(string(errs), r.says) || (r.says == "") != (len(errs) == 0) {
				t.Errorf("%s: %s: %v, %q, %s; want status %d, %q, %q", shell, name, state, out, errs, r.status, r.out, r.says)
			}
		}
	}
}

// sorted returns lines in order: env prints variables in that of its shell.
func sorted(lines string) string {
	all := strings.Split(lines, "\n")
	slices.Sort(all)
	return strings.Join(all, "\n")
}

// TestShimFindsHpc3Run: by the path of the module, else by PATH; once.
func TestShimFindsHpc3Run(t *testing.T) {
	s := newShims(t, nil)
	absent := newShims(t, func(m *Module) { m.Launcher = "/nonexistent/it's/hpc3-run" })
	unnamed := newShims(t, func(m *Module) { m.Launcher = "" })
	bin := filepath.Dir(s.launcher)
	for shell, words := range shells(t) {
		for name, r := range map[string]struct {
			gmx    string
			env    []string
			status int
			says   string
		}{
			"the module's":    {s.gmx, nil, 0, ""},
			"in PATH":         {absent.gmx, []string{"PATH=/usr/bin:" + bin}, 0, ""},
			"in PATH, always": {unnamed.gmx, []string{"PATH=" + bin}, 0, ""},
			"nowhere":         {absent.gmx, []string{"PATH=/nonexistent"}, 125, "hpc3-run: error[engine]: this node lacks hpc3-run: there is no /nonexistent/it's/hpc3-run, and it is not in PATH\nhpc3-run: hint: install hpc3"},
			"nowhere at all":  {unnamed.gmx, []string{"PATH="}, 125, "lacks hpc3-run: it is not in PATH\n"},
			"by hpc3-run":     {s.gmx, []string{"HPC3_SHIM=gromacs/2021.5"}, 125, "hpc3-run: error[engine]: hpc3-run itself has called gmx, a command of the module gromacs/2021.5\nhpc3-run: hint: put the directory of the node's own gmx"},
		} {
			out, errs, state := output(r.env, "/", nil, append(slices.Clone(words), r.gmx, "a")...)
			if state.ExitCode() != r.status || !strings.Contains(string(errs), r.says) || (r.says == "") != (len(errs) == 0) {
				t.Errorf("%s: %s: %v, %s, want %d, %q", shell, name, state, errs, r.status, r.says)
			} else if r.status == 0 {
				if diff := cmp.Diff([]string{image, "gmx", "a"}, parse(t, out).args); diff != "" {
					t.Errorf("%s: %s (-want +got):\n%s", shell, name, diff)
				}
			}
		}
	}
}

// TestShimOptions: the module's options reach hpc3-run behind what the user says.
func TestShimOptions(t *testing.T) {
	s := newShims(t, func(m *Module) {
		m.Options = map[string][]string{
			"engine": {"native"}, "container_mounts": {"/data:/data", "/it's"}, "container_mount_home": {"false"},
			"container_env": {"A=1,2", "B=x y"}, "container_env_file": {"/etc/a", "/etc/b"}, "container_writable": {"true"},
		}
	})
	own := []string{
		"HPC3_CONTAINER_ENV=A=1,2\nB=x y", "HPC3_CONTAINER_ENV_FILE=/etc/a\n/etc/b", "HPC3_CONTAINER_MOUNTS=/data:/data,/it's",
		"HPC3_CONTAINER_MOUNT_HOME=false", "HPC3_CONTAINER_WRITABLE=true", "HPC3_ENGINE=native", "HPC3_SHIM=gromacs/2021.5",
	}
	for shell, words := range shells(t) {
		for name, r := range map[string]struct{ env, want []string }{
			"alone":         {nil, own},
			"empty":         {[]string{"HPC3_ENGINE=", "HPC3_CONTAINER_ENV=", "HPC3_CONTAINER_MOUNTS=", "HPC3_NO_CONTAINER_MOUNT_HOME="}, append(own, "HPC3_NO_CONTAINER_MOUNT_HOME=")},
			"another value": {[]string{"HPC3_ENGINE=apptainer"}, replace(own, "HPC3_ENGINE=apptainer")},
			"the opposite":  {[]string{"HPC3_CONTAINER_READONLY=1"}, replace(own, "HPC3_CONTAINER_READONLY=1", "HPC3_CONTAINER_WRITABLE")},
			"of a switch":   {[]string{"HPC3_NO_CONTAINER_MOUNT_HOME=1"}, replace(own, "HPC3_NO_CONTAINER_MOUNT_HOME=1", "HPC3_CONTAINER_MOUNT_HOME")},
			"mounts":        {[]string{"HPC3_CONTAINER_MOUNTS=/u:/data"}, replace(own, "HPC3_CONTAINER_MOUNTS=/data:/data,/it's,/u:/data")},
			"variables":     {[]string{"HPC3_CONTAINER_ENV=C=3,D"}, replace(own, "HPC3_CONTAINER_ENV=A=1,2\nB=x y\nC=3\nD")},
			"one variable":  {[]string{"HPC3_CONTAINER_ENV=C=* $x"}, replace(own, "HPC3_CONTAINER_ENV=A=1,2\nB=x y\nC=* $x")},
			"lines":         {[]string{"HPC3_CONTAINER_ENV=C=3,4\nD=5"}, replace(own, "HPC3_CONTAINER_ENV=A=1,2\nB=x y\nC=3,4\nD=5")},
			"a file":        {[]string{"HPC3_CONTAINER_ENV_FILE=/u"}, replace(own, "HPC3_CONTAINER_ENV_FILE=/etc/a\n/etc/b\n/u")},
			"strict":        {[]string{"SHELLOPTS=errexit:nounset"}, own},
		} {
			out, errs, state := output(append(r.env, "PATH=/bin"), "/", nil, append(slices.Clone(words), s.gmx)...)
			if state.ExitCode() != 0 || len(errs) > 0 {
				t.Errorf("%s: %s: %v, %s", shell, name, state, errs)
				continue
			}
			got := slices.DeleteFunc(parse(t, out).env, func(e string) bool { return !strings.HasPrefix(e, "HPC3_") })
			slices.Sort(got)
			slices.Sort(r.want)
			if diff := cmp.Diff(r.want, got); diff != "" {
				t.Errorf("%s: %s (-want +got):\n%s", shell, name, diff)
			}
		}
	}
}

// replace returns variables with some set, and others removed.
func replace(env []string, changes ...string) []string {
	env = slices.Clone(env)
	for _, c := range changes {
		name, _, set := strings.Cut(c, "=")
		env = slices.DeleteFunc(env, func(e string) bool { return strings.HasPrefix(e, name+"=") })
		if set {
			env = append(env, c)
		}
	}
	return env
}
