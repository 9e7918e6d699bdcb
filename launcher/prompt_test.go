package launcher

import "testing"

func TestPrompt(t *testing.T) {
	for _, tt := range [][3]string{
		{"yes", "qnib/gromacs:2021.5", "[gromacs:2021.5] "},
		{"yes", "host:5000/a/b@sha256:0123456789abcdef0123", "[b@0123456789ab] "},
		{"on", "sif:/data/my image$(x).sif", "[my_image__x_.sif] "},
		{"yes", "oci:/images:bash", "[images:bash] "},
		{"no", "a:1", ""},
		{"OFF", "a:1", ""},
		{"0", "a:1", ""},
		{"", "a:1", ""},
		{"(%i)\\$ ", "x/a:1", "(a:1)\\$ "},
	} {
		if got := prompt(tt[0], tt[1]); got != tt[2] {
			t.Errorf("prompt(%q, %q) is %q, want %q", tt[0], tt[1], got, tt[2])
		}
	}
}
