package option_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/hpc3-project/hpc3/launcher/option"
)

func TestParseMounts(t *testing.T) {
	tests := []struct {
		in   string
		want []option.Mount
		err  string
	}{
		{in: "/a", want: []option.Mount{{Source: "/a", Target: "/a"}}},
		{in: "/a:/b:ro", want: []option.Mount{{Source: "/a", Target: "/b", Options: []string{"ro"}}}},
		{in: "rel:/b/../c", want: []option.Mount{{Source: "rel", Target: "/c"}}},
		{in: "/a:/b:ro+nodev,/c", want: []option.Mount{{Source: "/a", Target: "/b", Options: []string{"ro", "nodev"}}, {Source: "/c", Target: "/c"}}},
		{in: "/a:/b:ro,nodev", want: []option.Mount{{Source: "/a", Target: "/b", Options: []string{"ro", "nodev"}}}},
		{in: "/a b:/c d", want: []option.Mount{{Source: "/a b", Target: "/c d"}}},
		{in: "tmpfs:/a:noexec", want: []option.Mount{{Source: option.Tmpfs, Target: "/a", Options: []string{"noexec"}}}},
		{in: "./tmpfs:/a:rbind", want: []option.Mount{{Source: "./tmpfs", Target: "/a", Options: []string{"rbind"}}}},
		{in: "tmpfs:/a:rbind", err: "a tmpfs is no bind; for a directory of this name write ./tmpfs"},
		{in: "tmpfs", err: "not an absolute path"},
		{in: "", err: "names no source"},
		{in: "/a,", err: "names no source"},
		{in: "rel", err: "not an absolute path"},
		{in: "/a:b", err: "not an absolute path"},
		{in: "/a:/b:rx", err: `unknown option "rx"`},
		{in: "/a:/b:", err: `unknown option ""`},
		{in: "/a:/b:ro+rw", err: "both ro and rw"},
		{in: "/a:/b:ro:x", err: "more than three parts"},
	}
	for _, tt := range tests {
		t.Run(tt.in, func(t *testing.T) {
			got, err := option.ParseMounts(tt.in)
			checkErr(t, err, tt.err)
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("ParseMounts(%q) differs (-want +got):\n%s", tt.in, diff)
			}
		})
	}
}

func checkErr(t *testing.T, err error, want string) {
	t.Helper()
	if want == "" && err != nil || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
		t.Errorf("error = %v, want one with %q", err, want)
	}
}

func FuzzParseMount(f *testing.F) {
	for _, s := range []string{"/a", "/a:/b", "a:/b:ro+nodev", ":", "/a:/b:rbind"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		m, err := option.ParseMount(s)
		if err != nil {
			return
		}
		again, err := option.ParseMount(m.String())
		if err != nil || !cmp.Equal(again, m) {
			t.Errorf("ParseMount(%q) = %+v; its String() reads back as %+v, %v", s, m, again, err)
		}
	})
}

func FuzzParseEnvVar(f *testing.F) {
	for _, s := range []string{"A", "A=", "A=b=c", "=x", "1=2", "A=\n"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		v, err := option.ParseEnvVar(s)
		if err != nil {
			return
		}
		again, err := option.ParseEnvVar(v.String())
		if err != nil || again != v {
			t.Errorf("ParseEnvVar(%q) = %+v; its String() reads back as %+v, %v", s, v, again, err)
		}
	})
}

func TestFromEnvironment(t *testing.T) {
	env := map[string]string{
		"HPC3_CONTAINER_MOUNTS": "/a:/b,/c", "HPC3_CONTAINER_ENV": "A=1,B", "HPC3_ENGINE": "native", "HPC3_SQUASHFS": "builtin", "HPC3_PULL": "never",
		"HPC3_CONTAINER_READONLY": "1", "HPC3_VARIANTS": "tags", "HPC3_NO_CONTAINER_MOUNT_HOME": "yes", "HPC3_VARIANT": "linux/amd64:zen4", "HPC3_PLATFORM": "",
		"HPC3_CONTAINER_DOTFILES": "yes", "HPC3_PROMPT": "off", "HPC3_CONTAINER_ENV_FILE": "a,b\n/c",
	}
	s, err := option.FromEnvironment(func(k string) string { return env[k] })
	if err != nil {
		t.Fatal(err)
	}
	want := option.Run{
		Mounts:     []option.Mount{{Source: "/a", Target: "/b"}, {Source: "/c", Target: "/c"}},
		Env:        []option.EnvVar{{File: "a,b"}, {File: "/c"}, {Name: "A", Value: "1"}, {Name: "B", Pass: true}},
		Entrypoint: option.Login, Dotfiles: true, Prompt: "off", Share: true, Engine: option.Native, SquashFS: option.BuiltIn, Pull: option.Never, Variants: option.TagVariants,
		CacheMaxAge: option.Ageless(), CacheMaxSize: option.Unlimited(), LayerCache: option.LayerCache{Auto: true},
	}
	if diff := cmp.Diff(want, option.Merge(s)); diff != "" {
		t.Errorf("FromEnvironment differs (-want +got):\n%s", diff)
	}
	for variable, value := range map[string]string{"HPC3_ENGINE": "docker", "HPC3_SQUASHFS": "fuse", "HPC3_VARIANTS": "tag", "HPC3_TIME": "perhaps", "HPC3_CONTAINER_ENV": "A=1,2"} {
		_, err := option.FromEnvironment(func(k string) string {
			if k == variable {
				return value
			}
			return ""
		})
		checkErr(t, err, variable)
	}
}

func TestShareAsked(t *testing.T) {
	yes, no := true, false
	for _, tt := range []struct {
		sources      []*bool
		share, asked bool
	}{
		{nil, true, false},
		{[]*bool{&yes}, true, true},
		{[]*bool{&yes, nil}, true, true},
		{[]*bool{&no}, false, false},
		{[]*bool{&no, &yes}, true, true},
		{[]*bool{&yes, &no, nil}, false, false},
	} {
		var sources []option.Settings
		for _, s := range tt.sources {
			sources = append(sources, option.Settings{Share: s})
		}
		if r := option.Merge(sources...); r.Share != tt.share || r.ShareAsked != tt.asked {
			t.Errorf("Merge of %d: Share %t, ShareAsked %t, want %t, %t", len(sources), r.Share, r.ShareAsked, tt.share, tt.asked)
		}
	}
}

func TestMergeOrder(t *testing.T) {
	native, apptainer, no := option.Choice[option.Engine]{Value: option.Native}, option.Choice[option.Engine]{Value: option.Apptainer}, false
	site := option.Settings{Engine: &apptainer, MountHome: &no, Mounts: []option.Mount{{Source: "/scratch", Target: "/scratch"}, {Source: "/old", Target: "/data"}}}
	user := option.Settings{Engine: &native, Mounts: []option.Mount{{Source: "/new", Target: "/data"}}}
	got := option.Merge(site, user)
	if got.Engine != native.Value || got.MountHome || len(got.Mounts) != 2 || got.Mounts[1].Source != "/new" {
		t.Errorf("Merge(site, user) = %+v, want the user's engine and mount over the site's", got)
	}
}

// Every option has a field, and every name is known to Set.
func TestNamesAreKnown(t *testing.T) {
	for _, name := range option.Names() {
		var s option.Settings
		err := s.Set(name, "")
		if err != nil && strings.Contains(err.Error(), "no option is called") {
			t.Errorf("Set(%q) does not know the option", name)
		}
	}
}
