package slurm

import (
	"testing"
	"testing/fstest"

	"github.com/google/go-cmp/cmp"
)

func TestClientOf(t *testing.T) {
	file := func(text string) *fstest.MapFile { return &fstest.MapFile{Data: []byte(text)} }
	fsys := fstest.MapFS{
		"etc/slurm/slurm.conf": file("ClusterName=a\nSlurmUser=slurm # its own\n"),
		"etc/slurm/plugstack.conf": file("# none\nrequired /usr/local/lib/hpc3/spank_hpc3.so launcher=/usr/bin/hpc3-run\noptional relative.so\n" +
			"include plugstack.conf.d/*.conf\ninclude /no/such\n"),
		"etc/slurm/plugstack.conf.d/b.conf":      file("optional /opt/other.so library=/opt/lib.so\ninclude b.conf\n"),
		"usr/local/lib/hpc3/libhpc3spank.so":     file(""),
		"opt/site/slurm.conf":                    file("PlugStackConfig=/opt/site/stack\n"),
		"opt/site/stack":                         file("required /opt/x.so\n"),
		"etc/slurm/plugstack.conf.d/ignored.txt": file("required /ignored.so\n"),
	}
	for conf, want := range map[string]Client{
		"":                     {Conf: "/etc/slurm/slurm.conf", User: "slurm", Plugins: []string{"/usr/local/lib/hpc3/spank_hpc3.so", "/usr/local/lib/hpc3/libhpc3spank.so"}},
		"/opt/site/slurm.conf": {Conf: "/opt/site/slurm.conf", User: "root", Plugins: []string{"/opt/x.so"}},
	} {
		got, ok := ClientOf(fsys, conf)
		if conf == "" { // a file that includes itself ends
			if len(got.Plugins) < 4 || got.Plugins[2] != "/opt/other.so" || got.Plugins[3] != "/opt/lib.so" {
				t.Fatalf("the plugins are %q", got.Plugins)
			}
			got.Plugins = got.Plugins[:2]
		}
		if diff := cmp.Diff(want, got); diff != "" || !ok {
			t.Errorf("ClientOf(%q) differs (-want +got), %v:\n%s", conf, ok, diff)
		}
	}
	if c, ok := ClientOf(fstest.MapFS{}, ""); ok {
		t.Errorf("without a configuration there is %+v", c)
	}
}
