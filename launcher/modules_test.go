package launcher

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/hpc3-project/hpc3/launcher/fault"
	"github.com/hpc3-project/hpc3/launcher/module"
	"github.com/hpc3-project/hpc3/launcher/oci"
	"github.com/hpc3-project/hpc3/launcher/option"
	"github.com/hpc3-project/hpc3/probe/facts"
)

// labelled is a config with labels, in JSON.
func labelled(labels string) string {
	return fmt.Sprintf(`{"os":"linux","architecture":"amd64","config":{"Labels":{%s}}}`, labels)
}

// imageOf is the manifest of an image whose layer is nowhere.
func imageOf(config string) string {
	return manifestOf(config, oci.MediaTypeConfig, oci.MediaTypeLayer, "")
}

// entryOf is an entry of an index for linux/amd64 with a feature.
func entryOf(manifest, feature string) string {
	return descriptorOf(manifest, oci.MediaTypeManifest, fmt.Sprintf(`,"platform":{"os":"linux","architecture":"amd64","features":[%q]}`, feature))
}

// moduleOf walks the road on a zen3.
func moduleOf(t *testing.T, w module.Wanted) (FoundModule, error) {
	t.Helper()
	return onZen3(t).Module(t.Context(), w, "")
}

func onZen3(t *testing.T) *Road {
	t.Helper()
	r := &Road{Settings: inTemp(t), Given: &facts.Node{OS: "linux", Arch: "amd64", CPU: facts.CPU{Target: "zen3", Strict: "zen3", Level: 3}}}
	r.Host.NoStart, r.Host.Cwd = true, t.TempDir()
	return r
}

// What the labels of the chosen image and its index say becomes the module.
func TestModuleByLabels(t *testing.T) {
	generic := labelled(`"org.supercontainers.hpc3.commands":"generic"`)
	zen3 := labelled(`"org.supercontainers.hpc3.commands":" gmx , demux.pl,gmx","org.supercontainers.hpc3.conflict":"gmx,amber/22",
		"org.supercontainers.hpc3.prereq":"cuda","org.supercontainers.mpi.provider":"OpenMPI","org.opencontainers.image.title":"GROMACS",
		"org.opencontainers.image.version":"2021.5","org.opencontainers.image.description":"a\u0007b\n c","org.supercontainers.hpc3.help":"\nfirst\n\tsecond\u001b[31m\n\n"`)
	bundle := `{"spdxVersion":"2.3"}`
	nested := indexOf(entryOf(imageOf(generic), "zen2"), entryOf(imageOf(zen3), "zen3"))
	index := fmt.Sprintf(`{"schemaVersion":2,"mediaType":%q,"annotations":{"org.opencontainers.image.title":"of the index","org.opencontainers.image.url":"https://example.org"},"manifests":[%s]}`,
		oci.MediaTypeIndex, strings.Join([]string{
			descriptorOf(bundle, oci.MediaTypeManifest, `,"platform":{"os":"unknown","architecture":"unknown"}`),
			descriptorOf(imageOf(generic), oci.MediaTypeManifest, ofAMD64),
			entryOf(imageOf(zen3), "zen3"),
			descriptorOf(nested, oci.MediaTypeIndex, `,"platform":{"os":"linux","architecture":"arm64"}`),
			descriptorOf(imageOf(generic), oci.MediaTypeManifest, `,"artifactType":"application/x"`),
		}, ","))
	layout := layoutOf(t, bundle, generic, imageOf(generic), zen3, imageOf(zen3), nested, index)
	found, err := moduleOf(t, module.Wanted{Image: layout, Options: map[string][]string{"engine": {"native"}}, Line: 3, Default: true})
	if err != nil {
		t.Fatal(err)
	}
	want := module.Module{
		SchemaVersion: 1, Name: "layout", Version: "2021.5", Image: layout, IndexDigest: oci.DigestOf([]byte(index)),
		ImageDigest: oci.DigestOf([]byte(imageOf(zen3))), Commands: []string{"demux.pl", "gmx"},
		Variants: []string{"linux/amd64", "linux/amd64:zen3", "linux/amd64:zen2"}, Title: "GROMACS", Description: "a b c",
		Help: "first\n    second [31m", URL: "https://example.org", Conflicts: []string{"gmx", "amber/22"}, Needs: []string{"cuda"},
		Families: []string{"mpi"}, Options: map[string][]string{"engine": {"native"}}, Default: true, Listed: true,
	}
	if diff := cmp.Diff(FoundModule{Module: want, From: fromLabel}, found); diff != "" {
		t.Errorf("Module, -want +got:\n%s", diff)
	}
}

// If nothing fits this node, the first image speaks for all.
func TestModuleForOtherNodes(t *testing.T) {
	first, second := labelled(`"org.supercontainers.hpc3.commands":"first"`), labelled(`"org.supercontainers.hpc3.commands":"second"`)
	index := indexOf(`{"mediaType":"broken","digest":"sha256:0"}`, entryOf(imageOf(first), "sapphirerapids"), entryOf(imageOf(second), "a64fx"))
	layout := layoutOf(t, first, imageOf(first), second, imageOf(second), index)
	found, err := moduleOf(t, module.Wanted{Image: layout})
	if err != nil {
		t.Fatal(err)
	}
	if got := strings.Join(found.Module.Commands, " "); got != "first" {
		t.Errorf("Module: commands %q, want those of the first image", got)
	}
	if len(found.Notes) != 1 || !strings.Contains(found.Notes[0], "linux/amd64:sapphirerapids") {
		t.Errorf("Module: notes %q, want one that names the image", found.Notes)
	}
	if _, err := moduleOf(t, module.Wanted{Image: layoutOf(t, indexOf())}); fault.ClassOf(err) != fault.NoMatch {
		t.Errorf("Module of an empty index: %v, want an error of class nomatch", err)
	}
}

func TestModuleFamilies(t *testing.T) {
	for _, tt := range []struct {
		labels string
		wanted []string
		want   string
	}{
		{labels: ``},
		{labels: `"org.supercontainers.mpi.implementation":"mpich"`, want: "mpi"},
		{labels: `"org.supercontainers.mpi":"unknown"`},
		{labels: `"library.mpi.variant":"intel-mpi","mpi.portability.mode":"mpi_replace"`},
		{labels: `"org.supercontainers.mpi.implementation":"openmpi","org.supercontainers.mpi.portability.mode":"MPI_System"`},
		{labels: `"org.supercontainers.mpi.implementation":"openmpi","org.supercontainers.mpi.portability.mode":"libfabric_inject"`, want: "mpi"},
		{labels: `"org.supercontainers.mpi.implementation":"openmpi","org.supercontainers.hpc3.family":"none"`},
		{labels: `"org.supercontainers.mpi.implementation":"openmpi","org.supercontainers.hpc3.family":"compiler"`, want: "compiler"},
		{labels: `"org.supercontainers.mpi.implementation":"openmpi"`, wanted: []string{}},
		{labels: `"org.supercontainers.hpc3.family":"a b"`, want: "error"},
		{labels: `"org.supercontainers.hpc3.conflict":"a,,b"`, want: "error"},
	} {
		config := labelled(tt.labels)
		layout := layoutOf(t, config, imageOf(config), indexOf(descriptorOf(imageOf(config), oci.MediaTypeManifest, ofAMD64)))
		w := module.Wanted{Image: layout, Families: tt.wanted}
		r := onZen3(t)
		l := &look{Road: r}
		err := l.take(t.Context(), w.Image, false)
		if err != nil {
			t.Fatal(err)
		}
		var m module.Module
		err = l.describe(&m, w)
		got := strings.Join(m.Families, " ")
		if err != nil {
			if got = "error"; fault.ClassOf(err) != fault.Reference {
				t.Errorf("describe with %s: %v, want an error of class reference", tt.labels, err)
			}
		}
		l.close()
		if got != tt.want {
			t.Errorf("describe with %s: families %q, %v, want %q", tt.labels, got, err, tt.want)
		}
	}
}

// What a user may name, pin and ask for, without a layer.
func TestModuleNames(t *testing.T) {
	config := labelled(`"org.supercontainers.hpc3.commands":"gmx"`)
	manifest := imageOf(config)
	index := indexOf(descriptorOf(manifest, oci.MediaTypeManifest, ofAMD64))
	layout := layoutOf(t, config, manifest, index)
	digest, single := oci.DigestOf([]byte(index)), oci.DigestOf([]byte(manifest))
	tagged := serveTags(t, map[string]string{"1": "linux/amd64", "1_zen3": "linux/amd64"})
	app := strings.TrimPrefix(tagged.URL, "http://") + "/app"
	_, ofTag := tagImage("linux/amd64")
	for _, tt := range []struct {
		w                   module.Wanted
		variants            option.Variants
		name, image, failed string
	}{
		{w: module.Wanted{Image: layout}, name: "layout/latest", image: layout},
		{w: module.Wanted{Image: layout, Name: "bio/gromacs/1"}, name: "bio/gromacs/1", image: layout},
		{w: module.Wanted{Image: layout, Name: "gromacs"}, name: "gromacs/latest", image: layout},
		{w: module.Wanted{Image: layout, Pin: true}, name: "layout/latest", image: layout + "@" + single}, // the only one of index.json
		{w: module.Wanted{Image: layout + "@" + digest, Name: "g/1"}, name: "g/1", image: layout + "@" + digest},
		{w: module.Wanted{Image: layout + "@" + digest}, failed: "usage: "},
		{w: module.Wanted{Image: layout + "@" + single, Name: "g/1", Pin: true}, name: "g/1", image: layout + "@" + single},
		{w: module.Wanted{Image: app + ":1", Commands: []string{"gmx"}, Name: "g/1", Pin: true}, variants: option.TagVariants, failed: "usage: "},
		{w: module.Wanted{Image: layout, Commands: []string{"a/b"}}, failed: "usage: "},
		{w: module.Wanted{Image: layout, Commands: []string{"cd"}}, failed: "usage: "},
	} {
		r := onZen3(t)
		if tt.variants != "" {
			tt.w.Options = map[string][]string{"variants": {string(tt.variants)}}
		}
		r.Site.PlainHTTP = []string{strings.TrimPrefix(tagged.URL, "http://")}
		found, err := r.Module(t.Context(), tt.w, "")
		if err != nil {
			if got := string(fault.ClassOf(err)) + ": "; got != tt.failed {
				t.Errorf("Module(%+v): %s%v, want %q", tt.w, got, err, tt.failed)
			}
			continue
		}
		if got := found.Module.FullName(); got != tt.name || found.Module.Image != tt.image || found.Module.Pinned != strings.Contains(tt.image, "@") {
			t.Errorf("Module(%+v) = %s, %s, pinned %v; want %s, %s", tt.w, got, found.Module.Image, found.Module.Pinned, tt.name, tt.image)
		}
	}
	l := &look{Road: onZen3(t)}
	l.Option.Variants = option.TagVariants
	l.Site.PlainHTTP = []string{strings.TrimPrefix(tagged.URL, "http://")}
	defer l.close()
	if err := l.take(t.Context(), app+":1", false); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"linux/amd64 (tag 1)", "linux/amd64:zen3 (tag 1_zen3)"}, l.variants(t.Context())); diff != "" {
		t.Errorf("variants of tags, -want +got:\n%s", diff)
	}
	if l.digest() != oci.DigestOf(ofTag) {
		t.Errorf("digest of a choice among tags = %s", l.digest())
	}
}

// Without a tag the pinned image has a name: that of a single image is its manifest's digest.
func TestModulePinsASingleImage(t *testing.T) {
	server := serveTags(t, map[string]string{"1": "linux/amd64"})
	host := strings.TrimPrefix(server.URL, "http://")
	r := onZen3(t)
	r.Site.PlainHTTP = []string{host}
	l := &look{Road: r}
	defer l.close()
	if err := l.take(t.Context(), host+"/app:1", false); err != nil {
		t.Fatal(err)
	}
	m := module.Module{IndexDigest: l.chosen.Index.Digest, ImageDigest: l.digest()}
	if err := l.identify(&m, module.Wanted{Pin: true}); err != nil {
		t.Fatal(err)
	}
	_, manifest := tagImage("linux/amd64")
	if want := host + "/app:1@" + oci.DigestOf(manifest); m.Image != want || m.FullName() != "app/1" {
		t.Errorf("identify = %s, %s, want app/1, %s", m.FullName(), m.Image, want)
	}
}

func TestDefaultName(t *testing.T) {
	for image, want := range map[string]string{
		"gromacs": "gromacs", "quay.io/bio/blast:2": "blast", "oci-archive:/a/Amber.tar.gz": "Amber", "sif:dir/my app.sif": "my app",
		"oci:dir/.oci": ".oci", "docker-archive:x.tar": "x",
	} {
		ref, err := oci.ParseReference(image)
		if err != nil {
			t.Fatal(err)
		}
		if got := defaultName(ref); got != want {
			t.Errorf("defaultName(%s) = %q, want %q", image, got, want)
		}
	}
}

// A check asks for the documents, whatever the caches have.
func TestCheckModuleAsks(t *testing.T) {
	config := labelled(`"org.supercontainers.hpc3.commands":"gmx"`)
	manifest := imageOf(config)
	index := indexOf(descriptorOf(manifest, oci.MediaTypeManifest, ofAMD64))
	layout := layoutOf(t, config, manifest, index)
	r := onZen3(t)
	found, err := r.Module(t.Context(), module.Wanted{Image: layout}, "")
	if err != nil {
		t.Fatal(err)
	}
	if err := r.CheckModule(t.Context(), found.Module); err != nil {
		t.Errorf("CheckModule of what is there: %v", err)
	}
	other := found.Module
	other.ImageDigest = "sha256:" + strings.Repeat("0", 64)
	if err := r.CheckModule(t.Context(), other); err != nil {
		t.Errorf("CheckModule of another image whose label has the command: %v", err)
	}
	blob := filepath.Join(strings.TrimPrefix(layout, "oci:"), "blobs/sha256", strings.TrimPrefix(oci.DigestOf([]byte(manifest)), "sha256:"))
	if err := os.Remove(blob); err != nil {
		t.Fatal(err)
	}
	if _, err := r.Module(t.Context(), module.Wanted{Image: layout}, ""); err != nil {
		t.Errorf("Module of what a cache has: %v", err)
	}
	if err := r.CheckModule(t.Context(), found.Module); err == nil {
		t.Error("CheckModule of an image that is gone gave no error")
	}
}

func TestReadPath(t *testing.T) {
	for _, tt := range []struct{ profile, want string }{
		{"", "/usr/bin:/bin"},
		{"PATH=/opt/a:$PATH\nexport PATH", "/opt/a:/usr/bin:/bin"},
		{`export PATH="${PATH}:/opt/a"`, "/usr/bin:/bin:/opt/a"},
		{"if [ 1 ]; then\n  PATH='/usr/local/bin:/usr/bin'; fi", "/usr/bin:/bin:/usr/local/bin"},
		{"PATH=$HOME/bin:/opt/a:$PATH # /no", "/opt/a:/usr/bin:/bin"},
		{"PATH=/opt/$(uname)/bin:relative:/opt//b/:$PATH", "/opt/b:/usr/bin:/bin"},
		{"MANPATH=/x\n# PATH=/y\nXPATH=/z", "/usr/bin:/bin"},
	} {
		value := "/usr/bin:/bin"
		for line := range strings.SplitSeq(tt.profile, "\n") {
			if assigned, ok := assignment(line); ok {
				value = extend(assigned, value)
			}
		}
		if got := strings.Join(directories(value), ":"); got != tt.want {
			t.Errorf("PATH after %q = %s, want %s", tt.profile, got, tt.want)
		}
	}
}

// What the image's shell says of its PATH is the last line of its kind; a failure is told in the
// words of hpc3-run.
func TestAskPath(t *testing.T) {
	for _, tt := range []struct{ script, want, failed string }{
		{script: `echo motd; printf '\nhpc3-path=%s\n' /lie; printf '\nhpc3-path=/opt/a:/usr/bin:/opt/a\n'; echo bye`, want: "/opt/a /usr/bin"},
		{script: `head -c 3000000 /dev/zero | tr '\0' x; printf '\nhpc3-path=/usr/bin\n'`, want: "/usr/bin"},
		{script: `[ -z "$HPC3_VARIANT$SLURM_HPC3_TASK" ] && printf '\nhpc3-path=/%s/bin\n' "$HPC3_ENGINE"`, want: "/native/bin"},
		{script: `echo /usr/bin`, failed: "it did not print its PATH"},
		{script: `printf '\nhpc3-path=\n'`, failed: "its PATH names no directory"},
		{script: `echo "hpc3-run: error[engine]: no way" >&2; echo "hpc3-run: hint: none" >&2; exit 125`, failed: "error[engine]: no way"},
		{script: `exit 3`, failed: "exit status 3"},
	} {
		launcher := filepath.Join(t.TempDir(), "hpc3-run")
		if err := os.WriteFile(launcher, []byte("#!/bin/sh\n"+tt.script+"\n"), 0o700); err != nil {
			t.Fatal(err)
		}
		l := &look{Road: onZen3(t), launcher: launcher, img: &opened{path: "/image.sif"}}
		l.Host.Environ = append(slices.Clone(l.Host.Environ), "PATH=/usr/bin:/bin", "HPC3_ENGINE=native", "HPC3_VARIANT=7", "SLURM_HPC3_TASK=+")
		dirs, err := l.askPath(t.Context())
		failed := ""
		if err != nil {
			failed = err.Error()
		}
		if got := strings.Join(dirs, " "); got != tt.want || failed != tt.failed {
			t.Errorf("askPath by %q = %q, %q, want %q, %q", tt.script, got, failed, tt.want, tt.failed)
		}
	}
}

// A label that names what cannot be a command is refused by its name.
func TestModuleBadLabel(t *testing.T) {
	for _, bad := range []string{"/bin/gmx", "g mx", `g\"mx`, "g'mx", "cd", "hpc3-run", "gmx,,x"} {
		config := labelled(fmt.Sprintf(`"org.supercontainers.hpc3.commands":"gmx2, %s"`, bad))
		layout := layoutOf(t, config, imageOf(config), indexOf(descriptorOf(imageOf(config), oci.MediaTypeManifest, ofAMD64)))
		_, err := moduleOf(t, module.Wanted{Image: layout})
		var missing *MissingError
		if fault.ClassOf(err) != fault.Reference || errors.As(err, &missing) || !strings.Contains(err.Error(), labelCommands) {
			t.Errorf("Module with the command %s: %v, want an error of class reference that names the label", bad, err)
		}
	}
}
