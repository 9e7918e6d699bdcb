package trust

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"testing"

	"github.com/hpc3-project/hpc3/tests/internal/images"
	"github.com/hpc3-project/hpc3/tests/internal/lab"
)

// settingsFile is a file of settings before a test; without a mode there is none.
type settingsFile struct {
	text string
	uid  int
	mode os.FileMode
}

func (f settingsFile) write(t *testing.T, path string) {
	t.Helper()
	if f.mode == 0 {
		return
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(f.text), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Chown(path, f.uid, f.uid); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(path, f.mode); err != nil {
		t.Fatal(err)
	}
}

// TestSiteFile says whose settings count: a site's are root's, and what they lock stays locked
// under HPC3_CONFIG.
func TestSiteFile(t *testing.T) {
	lab.Needs(t, "native", os.Getuid() == 0, "files of several users need root")
	const (
		locks  = "container_writable = false\nlocked = [\"container_writable\"]\nlabels = [\"site\"]\n"
		loose  = "container_writable = true\n"
		labels = "labels = [\"named\"]\n"
	)
	tests := []struct {
		name         string
		site, config settingsFile // /etc/hpc3/hpc3.toml, and what HPC3_CONFIG names
		user         settingsFile // ~/.config/hpc3/hpc3.toml
		uid          int          // 0 = nobody's
		asRoot       bool
		namespace    bool // in a user namespace that knows the caller alone
		args         []string
		want         string // pattern of standard error; "" = success
	}{
		{name: "root's", site: settingsFile{locks, 0, 0o644}},
		{name: "none"},
		{name: "another's", site: settingsFile{locks, 4243, 0o644}, want: `^hpc3-run: error\[policy\]: refusing the settings in /etc/hpc3/hpc3.toml: it belongs to uid 4243 and has mode 0644\nhpc3-run: hint: chown root "/etc/hpc3/hpc3.toml"`},
		{name: "the caller's", site: settingsFile{locks, nobody, 0o644}, want: `^hpc3-run: error\[policy\]: .* uid 65534 .*\nhpc3-run: hint: chown root`},
		{name: "another's, by root", site: settingsFile{locks, 4243, 0o644}, asRoot: true, want: `^hpc3-run: error\[policy\]: .* uid 4243 `},
		{name: "open to a group", site: settingsFile{locks, 0, 0o664}, want: `^hpc3-run: error\[policy\]: .* uid 0 and has mode 0664\nhpc3-run: hint: chmod go-w`},
		{name: "open to all, by root", site: settingsFile{locks, 0, 0o646}, asRoot: true, want: `^hpc3-run: error\[policy\]: .* mode 0646\n`},
		{name: "root's, in a user namespace", site: settingsFile{locks, 0, 0o644}, namespace: true},
		{name: "the caller's, in a user namespace", site: settingsFile{locks, nobody, 0o644}, namespace: true, want: `error\[policy\]: .* uid 1000 `},
		{name: "named, the caller's", config: settingsFile{labels, nobody, 0o600}},
		{name: "named, root's", config: settingsFile{labels, 0, 0o644}},
		{name: "named, another's", config: settingsFile{labels, 4243, 0o644}, want: `^hpc3-run: error\[policy\]: refusing the settings in .*/named.toml: it belongs to uid 4243 and has mode 0644\nhpc3-run: hint: name a file of your own, or one that belongs to root`},
		{name: "named, another's, by root", config: settingsFile{labels, 4243, 0o644}, asRoot: true, want: `error\[policy\]`},
		{name: "named, open to a group", config: settingsFile{labels, nobody, 0o620}, want: `error\[policy\]: .* mode 0620\nhpc3-run: hint: chmod go-w`},
		{name: "a lock", site: settingsFile{locks, 0, 0o644}, args: []string{"--container-writable"}, want: `error\[policy\]: the setting container_writable is locked by the site in /etc/hpc3/hpc3.toml`},
		{name: "a lock, under another file", site: settingsFile{locks, 0, 0o644}, config: settingsFile{labels, nobody, 0o600}, args: []string{"--container-writable"}, want: `error\[policy\]: the setting container_writable is locked by the site in /etc/hpc3/hpc3.toml`},
		{name: "a lock, against another file", site: settingsFile{locks, 0, 0o644}, config: settingsFile{loose, nobody, 0o600}, want: `error\[policy\]: the setting container_writable in .*/named.toml is locked by the site in /etc/hpc3/hpc3.toml\nhpc3-run: hint: leave it out of .*/named.toml\n$`},
		{name: "a lock, and a file that agrees", site: settingsFile{locks, 0, 0o644}, config: settingsFile{"container_writable = false\n", nobody, 0o600}},
		{name: "a lock of the named file", config: settingsFile{locks, nobody, 0o600}, args: []string{"--container-writable"}, want: `error\[policy\]: .* is locked by the site in .*/named.toml`},
		{name: "a damaged site file, under another file", site: settingsFile{"locked\n", 0, 0o644}, config: settingsFile{labels, nobody, 0o600}, want: `error\[config\]: /etc/hpc3/hpc3.toml:1:`},
		{name: "the user's", user: settingsFile{loose, nobody, 0o664}},
		{name: "the user's is another's", user: settingsFile{loose, 4243, 0o644}, want: `error\[policy\]: refusing the settings in .*/.config/hpc3/hpc3.toml: it belongs to uid 4243`},
		{name: "the user's is open to all", user: settingsFile{loose, nobody, 0o666}, want: `error\[policy\]: .* mode 0666\n`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			work := openDir(t)
			if err := images.WriteLayouts(work); err != nil {
				t.Fatal(err)
			}
			uid := nobody
			if tt.asRoot {
				uid = 0
			}
			giveTo(t, work, uid)
			config := "HPC3_CONFIG="
			if tt.config.mode != 0 {
				config += filepath.Join(work, "named.toml")
			}
			tt.config.write(t, filepath.Join(work, "named.toml"))
			tt.user.write(t, filepath.Join(work, ".config/hpc3/hpc3.toml"))
			etc := openDir(t)
			tt.site.write(t, filepath.Join(etc, "hpc3/hpc3.toml"))
			const enter = `mount -t overlay overlay -o "lowerdir=$1:/etc" /etc && shift && exec setpriv --reuid "$0" --regid "$0" --clear-groups -- "$@"`
			args := []string{"-m", "sh", "-c", enter, strconv.Itoa(uid), etc}
			if tt.namespace {
				args = append(args, "unshare", "-U", "--map-user=1000", "--map-group=1000")
			}
			args = append(args, "env", "-i", "PATH=/usr/bin:/bin", "HOME="+work, config, filepath.Join(lab.Programs(), "hpc3-run"), "--engine", "native", "--dry-run")
			cmd := exec.Command("unshare", append(append(args, tt.args...), "oci:"+work+"/layout", "true")...)
			out, err := cmd.CombinedOutput()
			if tt.want == "" && err != nil || tt.want != "" && !regexp.MustCompile(tt.want).Match(out) {
				t.Errorf("%v, printed, want %q:\n%s", err, tt.want, out)
			}
			if exit := cmd.ProcessState.ExitCode(); tt.want != "" && exit != 125 {
				t.Errorf("exit status %d, want 125", exit)
			}
		})
	}
}
