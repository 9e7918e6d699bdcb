package inside

import (
	"fmt"
	"slices"
	"strings"

	"github.com/hpc3-project/hpc3/launcher/device"
	"github.com/hpc3-project/hpc3/launcher/option"
)

// TellContainer reports what kind of container the command gets. how is "new", or says whose it
// joins.
func (v *View) TellContainer(how string, binds int) {
	state := "read-only"
	if v.Writable {
		state = "writable, thrown away at the end"
	}
	started := map[option.Entrypoint]string{
		option.Login: "login shell",
		option.Image: "the image's entrypoint", option.None: "no shell",
	}[v.Entrypoint]
	v.Note(fmt.Sprintf("container: %s, %s, %d binds, %s", how, state, binds, started))
}

// TellMounts reports what is bound.
func (v *View) TellMounts(binds []Bind) {
	var devices []string
	for _, b := range binds {
		if name, ok := strings.CutPrefix(b.Target, "/dev/"); ok &&
			(b.Source == b.Target || b.Kind != device.Bind) && len(b.Options) == 0 {
			devices = append(devices, name)
			continue
		}
		text := b.Source + " at " + b.Target
		switch {
		case b.Kind != device.Bind:
			text = string(b.Kind) + " at " + b.Target
		case b.Source == b.Target:
			text = b.Target
		}
		if len(b.Options) > 0 {
			text += " (" + strings.Join(b.Options, ",") + ")"
		}
		v.Detail("mount: " + text)
	}
	v.tellNames("mount: in /dev:", devices)
}

// TellEnvironment reports the names of the variables that the command gets, with the source of
// each, and of those that it does not get. It never shows a value, which may be a secret.
func (v *View) TellEnvironment(caller, inside *Environ) {
	if v.To.Detail == nil {
		return
	}
	by := map[string]string{"PATH": "hpc3", "HOME": "hpc3", "SHELL": "hpc3"}
	for _, e := range v.Config.Env {
		name, _, _ := strings.Cut(e, "=")
		by[name] = "the image"
	}
	for _, e := range v.SetEnv {
		name, _, _ := strings.Cut(e, "=")
		by[name] = "-e"
		if strings.HasPrefix(name, "HPC3_I") || name == "HPC3_VARIANT" {
			by[name] = "hpc3"
		}
	}
	names := map[string][]string{}
	for _, name := range inside.Names {
		who := by[name]
		if _, passed := caller.Values[name]; who == "" && passed {
			who = "passed"
		} else {
			who = "set by " + map[bool]string{true: "hpc3", false: who}[who == ""]
		}
		names[who] = append(names[who], name)
	}
	for _, e := range v.HostEnv {
		name, _, _ := strings.Cut(e, "=")
		if _, has := inside.Values[name]; !has && !slices.Contains(bookkeeping, name) {
			names["dropped"] = append(names["dropped"], name)
		}
	}
	for _, who := range []string{
		"passed", "set by the image", "set by -e", "set by hpc3",
		"dropped",
	} {
		v.tellNames("environment, "+who+":", names[who])
	}
}

// columns bounds a line of names, so that it fits a terminal after the program's name.
const columns = 80 - len("hpc3-run: ")

// tellNames reports a list of names in as many lines as it needs.
func (v *View) tellNames(what string, names []string) {
	line := what
	slices.Sort(names)
	for _, name := range slices.Compact(names) {
		if len(line)+len(" ")+len(name) > columns && line != what {
			v.Detail(line)
			line = what
		}
		line += " " + name
	}
	if line != what {
		v.Detail(line)
	}
}
