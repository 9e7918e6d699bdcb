package run

import (
	"context"
	"os"
	"strings"
	"testing"
)

// TestApptainersOwnEnvironment: what an image and the options set reaches no program of the node by
// its own name.
func TestApptainersOwnEnvironment(t *testing.T) {
	raw, err := os.ReadFile("../../tests/lab/apptainer-variables")
	if err != nil {
		t.Fatal(err)
	}
	known := append(strings.Fields(string(raw)), "LD_PRELOAD", "LD_LIBRARY_PATH", "LD_AUDIT", "PATH", "HOME", "TMPDIR", "BASH_ENV", "UID", "a.b")
	p := Plan{HasConfig: true, Home: "/home/me", HostEnv: []string{"PATH=/usr/bin", "HOME=/home/me", "APPTAINER_CACHEDIR=/mine", "APPTAINERENV_SINGULARITY_PWD=mine", "LD_PRELOAD=/mine"}}
	for _, name := range known {
		p.Config.Env = append(p.Config.Env, name+"=image")
		p.SetEnv = append(p.SetEnv, "SET_"+name+"=option")
	}
	p.SetEnv = append(p.SetEnv, "LD_AUDIT=option", "APPTAINER_BIND=option")
	env, late := p.apptainerEnv(context.Background(), image{})
	inside := map[string]string{}
	for _, e := range env {
		name, value, _ := strings.Cut(e, "=")
		within, prefixed := strings.CutPrefix(name, insidePrefix)
		if !prefixed && (value == "image" || value == "option") {
			t.Errorf("Apptainer's own process has %s", e)
		}
		if prefixed {
			inside[within] = value
		}
	}
	for _, e := range late {
		name, value, _ := strings.Cut(e, "=")
		inside[name] = value
	}
	for name, want := range map[string]string{
		"LD_PRELOAD": "image", "LD_LIBRARY_PATH": "image", "LD_AUDIT": "option", "PATH": "image", "APPTAINER_BIND": "option", "APPTAINERENV_Q": "image",
		"SINGULARITY_HOME": "image", "APPTAINER_NAME": "image", "GODEBUG": "image", "SINGULARITY_PWD": "mine",
	} {
		if inside[name] != want {
			t.Errorf("the container's %s is %q, want %q", name, inside[name], want)
		}
	}
	for name, want := range map[string]string{"PATH": "/usr/bin", "HOME": "/home/me", "APPTAINER_CACHEDIR": "/mine", "LD_PRELOAD": ""} {
		if got := lookup(env, name); got != want {
			t.Errorf("Apptainer's own %s is %q, want %q", name, got, want)
		}
	}
}
