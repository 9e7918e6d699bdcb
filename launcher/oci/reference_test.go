package oci

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/hpc3-project/hpc3/launcher/fault"
)

const sum = "sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a"

func TestParseReference(t *testing.T) {
	registry := func(host, repository, tag, digest string) Reference {
		return Reference{Transport: Registry, Registry: host, Repository: repository, Tag: tag, Digest: digest}
	}
	local := func(transport Transport, path, tag string) Reference {
		return Reference{Transport: transport, Path: path, Tag: tag}
	}
	tests := []struct {
		in   string
		want Reference
		text string // String of want
	}{
		{"debian", registry("docker.io", "library/debian", "latest", ""), "docker.io/library/debian:latest"},
		{"debian:12", registry("docker.io", "library/debian", "12", ""), "docker.io/library/debian:12"},
		{"docker://debian:12", registry("docker.io", "library/debian", "12", ""), "docker.io/library/debian:12"},
		{"qnib/gromacs:2021.5", registry("docker.io", "qnib/gromacs", "2021.5", ""), "docker.io/qnib/gromacs:2021.5"},
		{"index.docker.io/debian", registry("docker.io", "library/debian", "latest", ""), "docker.io/library/debian:latest"},
		{"debian@" + sum, registry("docker.io", "library/debian", "", sum), "docker.io/library/debian@" + sum},
		{"host:5000/a/b:1@" + sum, registry("host:5000", "a/b", "1", sum), "host:5000/a/b:1@" + sum},
		{"localhost:5000/x", registry("localhost:5000", "x", "latest", ""), "localhost:5000/x:latest"},
		{"localhost/x", registry("localhost", "x", "latest", ""), "localhost/x:latest"},
		{"[::1]:5000/x:1", registry("[::1]:5000", "x", "1", ""), "[::1]:5000/x:1"},
		{"Quay.IO/x/y__z-a.b:T_1", registry("quay.io", "x/y__z-a.b", "T_1", ""), "quay.io/x/y__z-a.b:T_1"},
		{"nvcr.io#nvidia/pytorch:23.01-py3", registry("nvcr.io", "nvidia/pytorch", "23.01-py3", ""), "nvcr.io/nvidia/pytorch:23.01-py3"},
		{"docker://nvcr.io#nvidia/pytorch", registry("nvcr.io", "nvidia/pytorch", "latest", ""), "nvcr.io/nvidia/pytorch:latest"},
		{"docker.io#debian", registry("docker.io", "library/debian", "latest", ""), "docker.io/library/debian:latest"},
		{"head1#a/b", registry("head1", "a/b", "latest", ""), "head1#a/b:latest"},
		{"docker://quay.io/x:1.sif", registry("quay.io", "x", "1.sif", ""), "docker://quay.io/x:1.sif"},
		{"docker://oci:5000/x", registry("oci:5000", "x", "latest", ""), "docker://oci:5000/x:latest"},
		{"oci:dir", local(Layout, "dir", ""), "oci:dir"},
		{"oci:/a/b.sif:tag", local(Layout, "/a/b.sif", "tag"), "oci:/a/b.sif:tag"},
		{"oci:dir:docker.io/x:1", local(Layout, "dir", "docker.io/x:1"), "oci:dir:docker.io/x:1"},
		{"oci:a@b:tag", local(Layout, "a@b", "tag"), "oci:a@b:tag"},
		{"oci:d:t@" + sum, Reference{Transport: Layout, Path: "d", Tag: "t", Digest: sum}, "oci:d:t@" + sum},
		{"oci-archive:f.tar:t", local(LayoutArchive, "f.tar", "t"), "oci-archive:f.tar:t"},
		{"docker-archive:./f.tar", local(DockerArchive, "./f.tar", ""), "docker-archive:./f.tar"},
		{"sif:/a:b", local(SIF, "/a:b", ""), "sif:/a:b"},
		{"/images/x.sif", local(SIF, "/images/x.sif", ""), "sif:/images/x.sif"},
		{"x.sif", local(SIF, "x.sif", ""), "sif:x.sif"},
	}
	for _, tt := range tests {
		t.Run(tt.in, func(t *testing.T) {
			got, err := ParseReference(tt.in)
			if err != nil {
				t.Fatalf("ParseReference(%q): %v", tt.in, err)
			}
			if got.Name != tt.in {
				t.Errorf("ParseReference(%q).Name = %q", tt.in, got.Name)
			}
			if diff := cmp.Diff(tt.want, got, cmpopts.IgnoreFields(Reference{}, "Name")); diff != "" {
				t.Errorf("ParseReference(%q) differs (-want +got):\n%s", tt.in, diff)
			}
			if got.String() != tt.text {
				t.Errorf("ParseReference(%q).String() = %q, want %q", tt.in, got, tt.text)
			}
		})
	}
}

func TestParseReferenceRefuses(t *testing.T) {
	tests := []struct{ name, in, why, hint string }{
		{"empty", "", "is empty", "name an image"},
		{"only a transport", "oci:", "names no file", "after the colon"},
		{"upper case", "Qnib/Gromacs:1", "no repository name", "lower case: qnib/gromacs"},
		{"upper case of the library", "Debian", "no repository name", "lower case: debian"},
		{"a path", "./dir", "is a path", "oci:./dir"},
		{"an absolute path", "/images/x.sqsh", "is a path", "sif:/images/x.sqsh"},
		{"another transport", "library://x/y", `unknown transport "library"`, "apptainer pull FILE.sif library://x/y"},
		{"a transport that nobody has", "foo:/x/y", `unknown transport "foo"`, "docker://x/y"},
		{"a docker daemon", "docker-daemon:x:1", `unknown transport "docker-daemon"`, "docker save x:1"},
		{"a page", "https://hub.docker.com/r/x/y/", `unknown transport "https"`, "docker://x/y"},
		{"a transport of Shifter", "docker:x:1", `unknown transport "docker"`, "docker://x:1"},
		{"helm's spelling", "oci://host/x", "unknown transport", "oci:DIR"},
		{"a short digest", "x@sha256:abc", "no digest", "64"},
		{"a digest in upper case", "x@" + strings.ToUpper(sum), "no digest", "lower-case"},
		{"a digest that climbs", "x@sha256:../../x", "no digest", "sha256"},
		{"an unknown algorithm", "x@md5:d41d8cd98f00b204e9800998ecf8427e", "no digest", "sha256"},
		{"a digest of a layout", "oci:x@sha256:abc", "no digest", "64"},
		{"an empty tag", "x:", `"" is no tag`, "up to 128"},
		{"a long tag", "x:" + strings.Repeat("a", 129), "no tag", "up to 128"},
		{"an empty tag of a layout", "oci:x:", "tag is empty", "last colon"},
		{"a shell's words", "x$(id)", "no repository name", "lower-case letters"},
		{"a line break", "x\ny", "control character", ""},
		{"an escape", "x\x1b[31m", "control character", ""},
		{"64 KiB", strings.Repeat("x", 64<<10), "65536 bytes", ""},
		{"a long repository", "quay.io/" + strings.Repeat("x", 256), "limit is 255", ""},
		{"a long repository after completion", strings.Repeat("x", 250), "limit is 255", ""},
		{"a port out of range", "h:65536/x", "no port 65536", ""},
		{"a bad host", "a..b/x", "no registry", "host name"},
		{"a user", "me@nvcr.io#x", "names a user", "--authfile"},
		{"blanks", "a b", "no repository name", ""},
		{"nothing but a digest", "@" + sum, `"" is no repository`, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := ParseReference(tt.in)
			if err == nil || !strings.Contains(err.Error(), tt.why) {
				t.Fatalf("ParseReference(%.80q) = %v, want an error with %q", tt.in, err, tt.why)
			}
			class, hints, _ := fault.Of(err, fault.Engine)
			if class != fault.Reference || !strings.Contains(strings.Join(hints, "\n"), tt.hint) {
				t.Errorf("ParseReference(%.80q): class %s, hints %q, want reference and %q", tt.in, class, hints, tt.hint)
			}
			if len(err.Error()) > 2*maxReference || strings.ContainsAny(err.Error(), "\n\x1b") {
				t.Errorf("ParseReference(%.80q): the error is no short line", tt.in)
			}
		})
	}
}

func TestDigests(t *testing.T) {
	tests := []struct {
		in   string
		want bool
	}{
		{sum, true},
		{"sha512:" + strings.Repeat("0", 128), true},
		{"sha512:" + strings.Repeat("0", 64), false},
		{"sha256:" + strings.Repeat("g", 64), false},
		{"sha256:", false},
		{"", false},
		{"blake3:" + strings.Repeat("0", 64), false},
		{":", false},
		{"x:", false},
	}
	for _, tt := range tests {
		if got := ValidDigest(tt.in); got != tt.want {
			t.Errorf("ValidDigest(%q) = %v", tt.in, got)
		}
	}
	if got := DigestOf([]byte("{}")); got != sum || !Matches(sum, []byte("{}")) || Matches(sum, nil) {
		t.Errorf("DigestOf({}) = %s", got)
	}
	long := "sha512:27c74670adb75075fad058d5ceaf7b20c4e7786c83bae8a32f626f9782af34c9a33c2046ef60fd2a7878d378e29fec851806bbd9a67878f3a9f1cda4830763fd"
	if !Matches(long, []byte("{}")) {
		t.Errorf("Matches does not know sha512")
	}
}

func FuzzParseReference(f *testing.F) {
	for _, s := range []string{"debian", "h:5000/x:1@" + sum, "oci:d:t@" + sum, "x.sif", "a#b", "docker://oci:5000/x", "docker://x:1.sif"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		ref, err := ParseReference(s)
		if err != nil {
			return
		}
		again, err := ParseReference(ref.String())
		ref.Name, again.Name = "", ""
		if err != nil || again != ref {
			t.Errorf("ParseReference(%q) = %+v; its String() %q reads back as %+v, %v", s, ref, ref.String(), again, err)
		}
	})
}
