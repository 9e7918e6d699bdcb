package slurm

import (
	"io/fs"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/google/go-cmp/cmp"
)

func TestListed(t *testing.T) {
	tests := []struct {
		list, host string
		want       bool
	}{
		{"n1", "n1", true},
		{"n1", "n10", false},
		{"n1,x5", "x5", true},
		{"n[001-128],x5", "n001", true},
		{"n[001-128],x5", "n128", true},
		{"n[001-128],x5", "n1", false},
		{"n[001-128],x5", "n0128", false},
		{"n[001-128],x5", "n129", false},
		{"n[001-128],x5", "x5", true},
		{"n[8-10]", "n10", true},
		{"n[8-10]", "n08", false},
		{"n[08-100]", "n08", true},
		{"n[08-100]", "n100", true},
		{"n[1,3,5-7]", "n6", true},
		{"n[1,3,5-7]", "n4", false},
		{"n[007]", "n007", true},
		{"r[1-2]c[01-16]", "r2c16", true},
		{"r[1-2]c[01-16]", "r3c16", false},
		{"r[1-2]c[01-16]", "r2c1", false},
		{"[1-3]", "2", true},
		{"n[1-20]5", "n155", true},
		{"n[1-2][1-3]", "n13", true},
		{"n[1-2]-ib,n[1-2]-eth", "n2-eth", true},
		{"n[0-18446744073709551615]", "n12345678901234567890", true},
		{"n[1-2]", "", false},
		{"", "", false},
		{"", "n1", false},
		{"N1", "n1", false},
	}
	for _, tt := range tests {
		if got, err := listed(tt.list, tt.host); err != nil || got != tt.want {
			t.Errorf("listed(%q, %q) = %v, %v, want %v", tt.list, tt.host, got, err, tt.want)
		}
	}
	for _, list := range []string{"n[1-2", "n1-2]", "n[[1]]", "n[a]", "n[]", "n[2-1]", "n[1-2-3]", "n[1,]", "n[-1]"} {
		if _, err := listed(list, "n1"); err == nil {
			t.Errorf("listed(%q, n1) gave no error", list)
		}
	}
}

func FuzzListed(f *testing.F) {
	f.Add("n[001-128,200],x5", "n007")
	f.Add("r[1-2]c[01-16]-ib", "r1c07-ib")
	f.Fuzz(func(t *testing.T, list, host string) {
		got, err := listed(list, host)
		if err != nil {
			return
		}
		if more, err := listed("[1-2]other[3-4],"+list, host); err != nil || got && !more {
			t.Errorf("listed(%q, %q) = %v; with more before it %v, %v", list, host, got, more, err)
		}
		if got && !strings.ContainsAny(host, "[],") {
			if self, err := listed(host, host); err != nil || !self {
				t.Errorf("listed(%q, %[1]q) = %v, %v", host, self, err)
			}
		}
	})
}

// conf is what a site's file may look like.
const conf = `# nodes
ClusterName=c1
SlurmctldHost=ctl
NodeName=before Features=early
nodename=DEFAULT CPUs=64 features=common,gen1
NodeName=n[001-128],x5 RealMemory=1000 Feature=a,b
NodeName=inherits State=UNKNOWN
NodeName=DEFAULT RealMemory=2000
NodeName=still
NodeName=quoted Features = "q1, q2"  State=IDLE
NodeName=long \
   Features=l1,\
l2 # the rest \
NodeName=hash Features=c\#1
  NODENAME=alias[1-2] NodeHostname=host[1-2].example.org,plain Features=by_host
NodeName=none Features=""
NodeName=twice Features=x,y,x
NodeSet=set1 Feature=a
PartitionName=p Nodes=n[001-128] Features=no
NodeNameOfOthers=trap Features=no
Include more/%c.conf
`

func files() fstest.MapFS {
	return fstest.MapFS{
		"etc/slurm/slurm.conf":   {Data: []byte(conf)},
		"etc/slurm/more/c1.conf": {Data: []byte("NodeName=inc Features=included\ninclude deep.conf\n")},
		"etc/slurm/more/deep.conf": {Data: []byte("Include\t/etc/slurm/more/abs.conf\n" +
			"NodeName=after Features=after\r\n")},
		"etc/slurm/more/abs.conf": {Data: []byte("NodeName=abs Features=absolute")},
	}
}

func TestFeatures(t *testing.T) {
	tests := []struct {
		name string
		node Node
		want []string
	}{
		{"before the defaults", Node{Host: "before"}, []string{"early"}},
		{"in a range", Node{Host: "n007"}, []string{"a", "b"}},
		{"with a domain", Node{Host: "n007.example.org"}, []string{"a", "b"}},
		{"by the name in the job", Node{Name: "x5", Host: "n007"}, []string{"a", "b"}},
		{"the name in the job rules", Node{Name: "login", Host: "n007"}, nil},
		{"defaults", Node{Host: "inherits"}, []string{"common", "gen1"}},
		{"defaults stay", Node{Host: "still"}, []string{"common", "gen1"}},
		{"quoted", Node{Host: "quoted"}, []string{"q1", "q2"}},
		{"continued", Node{Host: "long"}, []string{"l1", "l2"}},
		{"escaped", Node{Host: "hash"}, []string{"c#1"}},
		{"by host name", Node{Host: "host2.example.org"}, []string{"by_host"}},
		{"by short host name", Node{Host: "plain.example.org"}, []string{"by_host"}},
		{"empty", Node{Host: "none"}, nil},
		{"twice", Node{Host: "twice"}, []string{"x", "y"}},
		{"a set of nodes", Node{Host: "set1"}, nil},
		{"another key", Node{Host: "trap"}, nil},
		{"included", Node{Host: "inc"}, []string{"included"}},
		{"included by what is included", Node{Host: "abs"}, []string{"absolute"}},
		{"after an include", Node{Host: "after"}, []string{"after"}},
		{"no node", Node{Host: "login"}, nil},
		{"no name", Node{}, nil},
		{"not DEFAULT", Node{Host: "DEFAULT"}, nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := Features(files(), "", tt.node)
			if diff := cmp.Diff(tt.want, got); err != nil || diff != "" {
				t.Errorf("Features of %+v: %v (-want +got):\n%s", tt.node, err, diff)
			}
		})
	}
}

func TestPlaces(t *testing.T) {
	all := fstest.MapFS{}
	line := func(word string) *fstest.MapFile {
		return &fstest.MapFile{Data: []byte("NodeName=n1 Features=" + word + "\n")}
	}
	check := func(conf, want string) {
		t.Helper()
		got, err := Features(all, conf, Node{Host: "n1"})
		if err != nil || strings.Join(got, ",") != want {
			t.Errorf("Features(%v, %q) = %q, %v, want %q", all, conf, got, err, want)
		}
	}
	check("", "")
	all["etc/slurm-llnl/slurm.conf"] = line("debian")
	check("", "debian")
	all["etc/slurm/slurm.conf"] = line("etc")
	check("", "etc")
	all["run/slurm/conf/slurm.conf"] = line("configless")
	check("", "configless")
	all["opt/slurm.conf"] = line("named")
	check("/opt//x/../slurm.conf", "named")
	check("/none/slurm.conf", "")
}

func TestFeaturesFaults(t *testing.T) {
	deep := fstest.MapFS{"etc/slurm/slurm.conf": {Data: []byte("\nInclude slurm.conf\n")}}
	missing := fstest.MapFS{"etc/slurm/slurm.conf": {Data: []byte("A=1\\\n2\nInclude gone.conf\n")}}
	broken := fstest.MapFS{"etc/slurm/slurm.conf": {Data: []byte("NodeName=n[1-\nNodeName=n2 Features=a\n")}}
	large := fstest.MapFS{"etc/slurm/slurm.conf": {Data: []byte(strings.Repeat("# filler\n", maxBytes/9+1))}}
	dir := fstest.MapFS{"etc/slurm/slurm.conf": {Mode: fs.ModeDir}}
	pipe := fstest.MapFS{"etc/slurm/slurm.conf": {Mode: fs.ModeNamedPipe}}
	tests := []struct {
		name  string
		files fs.FS
		want  string
	}{
		{"endless", deep, "more than 8 deep"},
		{"missing include", missing, "/etc/slurm/slurm.conf:3: reading /etc/slurm/gone.conf: file does not exist"},
		{"broken list", broken, `reading /etc/slurm/slurm.conf: the node list "n[1-" has a bracket without its counterpart`},
		{"large", large, "larger than"},
		{"directory", dir, "no regular file"},
		{"pipe", pipe, "no regular file"},
		{"unreadable", closed{missing}, "reading /etc/slurm/slurm.conf: permission denied"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := Features(tt.files, "", Node{Host: "n1"})
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("Features = %q, %v, want an error with %q", got, err, tt.want)
			}
		})
	}
	if got, err := Features(broken, "", Node{Host: "n2"}); err != nil || len(got) != 1 {
		t.Errorf("Features of a node beside a broken list = %q, %v", got, err)
	}
}

// closed is a file system of which nothing may be opened.
type closed struct{ fstest.MapFS }

func (closed) Open(name string) (fs.File, error) {
	return nil, &fs.PathError{Op: "open", Path: name, Err: fs.ErrPermission}
}

func FuzzFeatures(f *testing.F) {
	f.Add(conf)
	f.Add("NodeName=DEFAULT Feature=\"a b,c\"\\\nNodeName=n1")
	f.Fuzz(func(t *testing.T, text string) {
		one := fstest.MapFS{"etc/slurm/slurm.conf": {Data: []byte(text)}}
		words, err := Features(one, "", Node{Host: "n1"})
		if err != nil {
			return
		}
		for _, w := range words {
			if w == "" || strings.ContainsAny(w, ",\n") || strings.TrimSpace(w) != w {
				t.Errorf("Features of %q = %q", text, words)
			}
		}
		// What was found is not undone by what comes later.
		one["etc/slurm/slurm.conf"].Data = []byte(text + "\n\nNodeName=n1 Features=late\n")
		again, err := Features(one, "", Node{Host: "n1"})
		if err != nil || len(words) > 0 && !cmp.Equal(words, again) {
			t.Errorf("Features of %q = %q, with a line more %q, %v", text, words, again, err)
		}
	})
}

func TestPMIxDirs(t *testing.T) {
	conf := "ClusterName=c1\nNodeName=n7 Features=a\nInclude more.conf\n"
	tests := []struct {
		name, conf, more, mpi string
		env                   map[string]string
		want                  []string
	}{
		{name: "another's ranks", conf: conf, env: map[string]string{"PMIX_NAMESPACE": "prterun-n7-12@1"}},
		{name: "none", conf: conf},
		{name: "a namespace that is a path", conf: conf, env: map[string]string{"PMIX_NAMESPACE": "slurm.pmix./../x"}},
		{name: "no file", want: []string{"/tmp/spmix_appdir_4242_12.3"}},
		{name: "nothing set", conf: conf, want: []string{"/tmp/spmix_appdir_4242_12.3"}},
		{name: "TmpFS, behind the node", conf: conf, more: "tmpfs=/local/%n/%h # ours\n", want: []string{"/local/n7/host/spmix_appdir_4242_12.3"}},
		{name: "mpi.conf", conf: "TmpFS=/local\n", mpi: "PMIxCliTmpDirBase=/pmix\n", want: []string{"/pmix/spmix_appdir_4242_12.3"}},
		{
			name: "the job's", conf: "TmpFS=/local\n", mpi: "PMIxCliTmpDirBase=/pmix\n",
			env: map[string]string{"PMIX_NAMESPACE": "slurm.pmix.1.0", "SLURM_PMIX_TMPDIR": "/mine"}, want: []string{"/mine/spmix_appdir_4242_1.0"},
		},
		{
			name: "oci.conf", env: map[string]string{"PMIX_NAMESPACE": "slurm.pmix.1.0", "PMIX_SERVER_TMPDIR": "/spool/oci-job1-0//pmix.1.0/"},
			want: []string{"/tmp/spmix_appdir_4242_1.0", "/spool/oci-job1-0/spmix_appdir_4242_1.0"},
		},
	}
	for _, tt := range tests {
		fsys := fstest.MapFS{"etc/slurm/more.conf": {Data: []byte(tt.more)}}
		if tt.conf != "" {
			fsys["etc/slurm/slurm.conf"] = &fstest.MapFile{Data: []byte(tt.conf)}
		}
		if tt.mpi != "" {
			fsys["etc/slurm/mpi.conf"] = &fstest.MapFile{Data: []byte(tt.mpi)}
		}
		if tt.env == nil && tt.want != nil {
			tt.env = map[string]string{"PMIX_NAMESPACE": "slurm.pmix.12.3"}
		}
		got := PMIxDirs(fsys, "", Node{Name: "n7", Host: "host.example.org"}, func(name string) string { return tt.env[name] }, 4242)
		if diff := cmp.Diff(tt.want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", tt.name, diff)
		}
	}
}
