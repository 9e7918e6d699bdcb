package probe

import (
	"context"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/hpc3-project/hpc3/probe/facts"
)

func TestOSRelease(t *testing.T) {
	for _, c := range []struct {
		name  string
		files map[string]string
		want  *facts.OSRelease
	}{
		{"Debian", map[string]string{
			"etc/os-release": "-> ../usr/lib/os-release", "usr/lib/os-release": "PRETTY_NAME=\"Debian GNU/Linux 12\"\nVERSION_ID=\"12\"\nID=debian\n",
		}, &facts.OSRelease{ID: "debian", VersionID: "12"}},
		{"/etc wins, and may have only one of them", map[string]string{"etc/os-release": "# ID=no\nID='arch'\n", "usr/lib/os-release": "ID=debian\nVERSION_ID=12\n"}, &facts.OSRelease{ID: "arch"}},
		{"/usr/lib alone", map[string]string{"usr/lib/os-release": "ID=\"sles\"\nVERSION_ID=15.5"}, &facts.OSRelease{ID: "sles", VersionID: "15.5"}},
		{"nothing in it", map[string]string{"etc/os-release": "\"\n=\nID\n"}, nil},
		{"none", nil, nil},
	} {
		files := map[string]string{"proc/cpuinfo": milan}
		for name, text := range c.files {
			files[name] = text
		}
		n, err := Node(context.Background(), Options{Root: record(t, files)})
		if diff := cmp.Diff(c.want, n.OSRelease); err != nil || diff != "" {
			t.Errorf("%s: %v (-want +got):\n%s", c.name, err, diff)
		}
	}
}
