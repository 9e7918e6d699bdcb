package engine

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/hpc3-project/hpc3/tests/internal/lab"
)

// TestCommandsOfImages finds the commands of whole distributions. A user's hpc3 asks the image for
// its PATH, and its rpm; root's reads what can be read, and says what that leaves open.
func TestCommandsOfImages(t *testing.T) {
	lab.Needs(t, "native", os.Getuid() == 0, "the lab needs root")
	lab.Needs(t, "native", !testing.Short(), "the lab is not built by a short run")
	l := lab.New(t)
	user, root := lab.Persons()[0], lab.Persons()[2]
	for _, tt := range []struct {
		name   string
		script string
		person lab.Person
		want   string
		notes  string // a part of all of them; "" for none
	}{
		{
			name: "GROMACS of Debian", script: "../demo/image", person: user,
			want: "demux gmx gmx_d gmx_mpi gmx_mpi_d nbody xplor2gmx",
		},
		{
			name: "GROMACS of Debian, as root", script: "../demo/image", person: root,
			want:  "demux gmx gmx_d gmx_mpi gmx_mpi_d nbody xplor2gmx",
			notes: "root runs no program of an image",
		},
		{
			name: "a login image", script: "login-image", person: user,
			want: "broken hard hello setuid",
		},
		{name: "rpm", script: "rpm-image", person: user, want: "gmx sander"},
		{name: "rpm, as root", script: "rpm-image", person: root, notes: "its package data base was not read"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			layout := filepath.Base(tt.script)
			if _, err := os.Stat(filepath.Join(l.Work, layout)); err != nil {
				lab.CopyTo(t, lab.Script(t, tt.script), filepath.Join(l.Work, layout))
			}
			cmd := l.Command(tt.person, "native", "hpc3", "module", "-q", "--dry-run", "--json", "oci:/lab/"+layout)
			var out, errs bytes.Buffer
			cmd.Stdout, cmd.Stderr = &out, &errs
			err := cmd.Run()
			var found struct {
				Commands []string
				Notes    []string
			}
			if tt.want == "" {
				if err == nil || !strings.Contains(errs.String(), "has no command beyond its base system") {
					t.Errorf("hpc3 module: %v, %s%s", err, out.String(), errs.String())
				}
				return
			}
			if bad := json.Unmarshal(out.Bytes(), &found); err != nil || bad != nil {
				t.Fatalf("hpc3 module: %v, %v, %s%s", err, bad, out.String(), errs.String())
			}
			if diff := cmp.Diff(strings.Fields(tt.want), found.Commands); diff != "" {
				t.Errorf("commands, -want +got:\n%s", diff)
			}
			if notes := strings.Join(found.Notes, "\n"); !strings.Contains(notes, tt.notes) || tt.notes == "" && notes != "" {
				t.Errorf("notes %q, want %q", notes, tt.notes)
			}
		})
	}
}
