package inside

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

func TestNames(t *testing.T) {
	dir, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	for link, to := range map[string]string{"abs": dir + "/real", "rel": "real", "chain": "rel", "up": "real/../abs", "loop": "loop", "gone": "no"} {
		if err := os.Symlink(to, filepath.Join(dir, link)); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.MkdirAll(filepath.Join(dir, "real/sub"), 0o755); err != nil {
		t.Fatal(err)
	}
	for given, want := range map[string][]string{
		"real/sub": {"real/sub"}, "real/": {"real"}, "abs/sub": {"abs/sub", "real/sub"}, "rel/./sub": {"rel/sub", "real/sub"},
		"chain/sub": {"chain/sub", "rel/sub", "real/sub"}, "up/sub": {"up/sub", "abs/sub", "real/sub"}, "gone/x": {"gone/x", "no/x"}, "no": {"no"},
	} {
		var got []string
		for _, name := range Names(dir + "/" + given) {
			got = append(got, strings.TrimPrefix(name, dir+"/"))
		}
		if !slices.Equal(got, want) {
			t.Errorf("names(%q) = %q, want %q", given, got, want)
		}
	}
	if n := len(Names(dir + "/loop")); n > maxLinks+1 {
		t.Errorf("a loop has %d names", n)
	}
}

func TestTrace(t *testing.T) {
	links := map[string]string{"/var/tmp": "/tmp", "/a": "b", "/b": "../c/./d", "/c/d": "/e", "/loop": "loop", "/up": "../../x"}
	readlink := func(file string) (string, error) {
		if to, ok := links[file]; ok {
			return to, nil
		}
		return "", unix.EINVAL
	}
	for _, tt := range []struct{ target, rel, links string }{
		{"/x/y", "/x/y", ""},
		{"//x/./y/", "/x/y", ""},
		{"/", "/", ""},
		{"/..", "/", ""},
		{"/var/tmp/u", "/tmp/u", "/var/tmp"},
		{"/a/z", "/e/z", "/a /b /c/d"},
		{"/up", "/x", "/up"},
		{"/var/tmp/../q", "/q", "/var/tmp"},
	} {
		rel, found, err := Trace(tt.target, readlink)
		if rel != tt.rel || strings.Join(found, " ") != tt.links || err != nil {
			t.Errorf("trace(%q) = %q, %q, %v; want %q, %q", tt.target, rel, found, err, tt.rel, tt.links)
		}
	}
	if _, _, err := Trace("/loop/x", readlink); !errors.Is(err, unix.ELOOP) {
		t.Errorf("a loop: %v", err)
	}
}

func TestNamedValues(t *testing.T) {
	v := View{Place: Place{Cwd: "/w", HostEnv: []string{"XDG_RUNTIME_DIR=/run/user/7"}}}
	for _, tt := range []struct {
		read  func(*View, string) []location
		value string
		want  []location
	}{
		{oneFile, "/a/../b", []location{{file: "/b"}}},
		{oneFile, "x", []location{{file: "/w/x"}}},
		{credentialCache, "/tmp/krb5cc_1", []location{{file: "/tmp/krb5cc_1"}}},
		{credentialCache, "/tmp/a:b", []location{{file: "/tmp/a:b"}}},
		{credentialCache, "FILE:/tmp/c", []location{{file: "/tmp/c"}}},
		{credentialCache, "DIR:/d", []location{{file: "/d"}}},
		{credentialCache, "DIR::/d/tkt1", []location{{file: "/d"}}},
		{credentialCache, "KEYRING:persistent:1", []location{{}}},
		{credentialCache, "KCM:", []location{{}}},
		{busAddress, "unix:path=/run/user/1/bus,guid=ab", []location{{file: "/run/user/1/bus"}}},
		{busAddress, "unix:path=/a%20b;unix:abstract=/tmp/d;;tcp:host=h,port=1", []location{{file: "/a b"}, {abstract: "/tmp/d"}, {}}},
		{busAddress, "unix:runtime=yes", []location{{file: "/run/user/7/bus"}}},
		{busAddress, "autolaunch:", []location{{}}},
	} {
		if got := tt.read(&v, tt.value); !slices.Equal(got, tt.want) {
			t.Errorf("%q is read as %+v, want %+v", tt.value, got, tt.want)
		}
	}
}
