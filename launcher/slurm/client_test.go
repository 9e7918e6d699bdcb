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
		"":                     {Conf: "/etc/slurm/slurm.conf", User: "slurm", Plugins: []string{"/usr/local/lib/hpc3/spank_hpc3.so", "/usr/local/lib/hpc3/libhpc3spank.so"}, Own: []string{"/usr/local/lib/hpc3/spank_hpc3.so", "launcher=/usr/bin/hpc3-run"}},
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

func TestPluginOf(t *testing.T) {
	const plugin, library, launcher = "/usr/local/lib/hpc3/spank_hpc3.so", "/usr/local/lib/hpc3/libhpc3spank.so", "/usr/local/bin/hpc3-run"
	for _, tt := range []struct {
		name, conf, stack string
		files             []string
		want              Plugin
		none              bool
	}{
		{name: "no plugin", stack: "optional /opt/other.so\n", none: true},
		{name: "a line that is commented out", stack: "# required " + plugin + "\n", none: true},
		{name: "all is there", conf: "launchparameters=test_exec,use_interactive_step\n", stack: "required " + plugin + "\n", files: []string{plugin, library, launcher}, want: Plugin{Library: library, Interactive: true}},
		{name: "the last of two lines counts", conf: "LaunchParameters=use_interactive_step\nLaunchParameters=test_exec\n", stack: "optional\t" + plugin + " batch=host", files: []string{plugin, library, launcher}, want: Plugin{Library: library}},
		{name: "nothing is there", stack: "required " + plugin + "\n", want: Plugin{Library: library, Missing: []string{plugin, library, launcher}}},
		{name: "other places", stack: "required /opt/spank_hpc3.so library=/opt/l.so launcher=/opt/bin/hpc3-run\n", files: []string{"/opt/spank_hpc3.so", "/opt/l.so"}, want: Plugin{Library: "/opt/l.so", Missing: []string{"/opt/bin/hpc3-run"}}},
		{name: "Slurm's own directory", stack: "required spank_hpc3.so\n", files: []string{launcher}, want: Plugin{Library: "libhpc3spank.so"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			fsys := fstest.MapFS{"etc/slurm/slurm.conf": {Data: []byte(tt.conf)}, "etc/slurm/plugstack.conf": {Data: []byte(tt.stack)}}
			for _, f := range tt.files {
				fsys[f[1:]] = &fstest.MapFile{}
			}
			got, ok := PluginOf(fsys, "", launcher)
			if diff := cmp.Diff(tt.want, got); diff != "" || ok == tt.none {
				t.Errorf("PluginOf differs (-want +got), %v:\n%s", ok, diff)
			}
		})
	}
}
