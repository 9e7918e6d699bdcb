package apptainer

import (
	"context"
	"os"
	"strings"
	"testing"

	"github.com/hpc3-project/hpc3/launcher/device"
	"github.com/hpc3-project/hpc3/launcher/run/inside"
)

// TestApptainersOwnEnvironment: variables that an image or the options set never reach a program of
// the node under their own names.
func TestApptainersOwnEnvironment(t *testing.T) {
	raw, err := os.ReadFile("../../../tests/lab/apptainer-variables")
	if err != nil {
		t.Fatal(err)
	}
	known := append(strings.Fields(string(raw)), "LD_PRELOAD", "LD_LIBRARY_PATH", "LD_AUDIT", "PATH", "HOME", "TMPDIR", "BASH_ENV", "UID", "a.b")
	env := []string{"PATH=/usr/bin", "HOME=/home/me", "APPTAINER_CACHEDIR=/mine", "APPTAINERENV_SINGULARITY_PWD=mine", "LD_PRELOAD=/mine"}
	s := start{View: &inside.View{Image: inside.Image{HasConfig: true}, Place: inside.Place{Home: "/home/me", HostEnv: env}}}
	for _, name := range known {
		s.Config.Env = append(s.Config.Env, name+"=image")
		s.SetEnv = append(s.SetEnv, "SET_"+name+"=option")
	}
	s.SetEnv = append(s.SetEnv, "LD_AUDIT=option", "APPTAINER_BIND=option")
	env, late := s.env(context.Background(), inside.Files{}, device.Found{})
	wanted := map[string]string{}
	for _, e := range env {
		name, value, _ := strings.Cut(e, "=")
		within, prefixed := strings.CutPrefix(name, insidePrefix)
		if !prefixed && (value == "image" || value == "option") {
			t.Errorf("Apptainer's own process has %s", e)
		}
		if prefixed {
			wanted[within] = value
		}
	}
	for _, e := range late {
		name, value, _ := strings.Cut(e, "=")
		wanted[name] = value
	}
	for name, want := range map[string]string{
		"LD_PRELOAD": "image", "LD_LIBRARY_PATH": "image", "LD_AUDIT": "option", "PATH": "image", "APPTAINER_BIND": "option", "APPTAINERENV_Q": "image",
		"SINGULARITY_HOME": "image", "APPTAINER_NAME": "image", "GODEBUG": "image", "SINGULARITY_PWD": "mine",
	} {
		if wanted[name] != want {
			t.Errorf("the container's %s is %q, want %q", name, wanted[name], want)
		}
	}
	for name, want := range map[string]string{"PATH": "/usr/bin", "HOME": "/home/me", "APPTAINER_CACHEDIR": "/mine", "LD_PRELOAD": ""} {
		if got := inside.Lookup(env, name); got != want {
			t.Errorf("Apptainer's own %s is %q, want %q", name, got, want)
		}
	}
}
