package facts

import (
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestNFD(t *testing.T) {
	for _, c := range []struct {
		name string
		node Node
		want []string
	}{
		{
			"an AMD node",
			Node{
				Arch: "amd64", Kernel: "5.14.0-427.el9.x86_64", OSRelease: &OSRelease{ID: "almalinux", VersionID: "9.4"},
				CPU: CPU{Vendor: "AuthenticAMD", Family: 25, Model: 1, Features: []string{
					"avx2", "fma", "pni", "sse4_1", "sse4_2", "sse4a", "pclmulqdq", "abm", "lahf_lm", "aes", "sha_ni", "3dnowext", "cx8", "lm", "pku", "rep_good",
				}},
			},
			[]string{
				"cpu.cpuid.AESNI", "cpu.cpuid.AMD3DNOWEXT", "cpu.cpuid.AVX2", "cpu.cpuid.CLMUL", "cpu.cpuid.CMPXCHG8", "cpu.cpuid.FMA3", "cpu.cpuid.LAHF",
				"cpu.cpuid.LZCNT", "cpu.cpuid.SHA", "cpu.cpuid.SSE3", "cpu.cpuid.SSE4", "cpu.cpuid.SSE42", "cpu.cpuid.SSE4A", "cpu.model.family=25",
				"cpu.model.id=1", "cpu.model.vendor_id=AMD", "kernel.version.full=5.14.0-427.el9.x86_64", "kernel.version.major=5",
				"kernel.version.minor=14", "kernel.version.revision=0", "system.osrelease.ID=almalinux", "system.osrelease.VERSION_ID.major=9",
				"system.osrelease.VERSION_ID.minor=4", "system.osrelease.VERSION_ID=9.4",
			},
		},
		{
			"an Intel node, pni and sse3 being one",
			Node{Arch: "amd64", Kernel: "6.1", CPU: CPU{Vendor: "GenuineIntel", Family: 6, Model: 143, Features: []string{"amx_tile", "avx512f", "avx512_vp2intersect", "pni", "sse3", "sm3"}}},
			[]string{
				"cpu.cpuid.AMXTILE", "cpu.cpuid.AVX512F", "cpu.cpuid.AVX512VP2INTERSECT", "cpu.cpuid.SM3_X86", "cpu.cpuid.SSE3", "cpu.model.family=6",
				"cpu.model.id=143", "cpu.model.vendor_id=Intel", "kernel.version.full=6.1", "kernel.version.major=6", "kernel.version.minor=1",
			},
		},
		{
			"an ARM node, whose part is no model of NFD's",
			Node{
				Arch: "arm64", Kernel: "6.8.0+rt_", OSRelease: &OSRelease{ID: "arch"},
				CPU: CPU{Vendor: "ARM", Model: 0xd4f, Features: []string{"asimd", "sve2", "asimdfhm"}},
			},
			[]string{
				"cpu.cpuid.ASIMD", "cpu.cpuid.ASIMDFHM", "cpu.cpuid.SVE2", "cpu.model.vendor_id=ARM", "kernel.version.full=6.8.0_rt",
				"system.osrelease.ID=arch",
			},
		},
		{"a vendor that NFD does not name so", Node{Arch: "amd64", CPU: CPU{Vendor: "CentaurHauls", Family: 6, Model: 15}}, nil},
		{"POWER", Node{Arch: "ppc64le", CPU: CPU{Vendor: "IBM", Target: "power9le"}, OSRelease: &OSRelease{ID: "rhel", VersionID: "testing"}}, []string{
			"system.osrelease.ID=rhel", "system.osrelease.VERSION_ID=testing",
		}},
		{"nothing known", Node{}, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			before := slices.Clone(c.node.CPU.Features)
			got := NFDOf(c.node)
			if diff := cmp.Diff(c.want, got.Lines()); diff != "" {
				t.Errorf("Lines() (-want +got):\n%s", diff)
			}
			if got.SchemaVersion != 1 || got.Flags == nil || got.Attributes == nil {
				t.Errorf("NFDOf() = %+v", got)
			}
			if !slices.Equal(before, c.node.CPU.Features) {
				t.Errorf("the node's features are now %v", c.node.CPU.Features)
			}
		})
	}
}
