package run

import (
	"fmt"
	"slices"
	"strings"

	"github.com/hpc3-project/hpc3/launcher/device"
	"github.com/hpc3-project/hpc3/launcher/option"
)

func (p *Plan) note(text string) {
	if p.Note != nil {
		p.Note(text)
	}
}

func (p *Plan) detail(text string) {
	if p.Detail != nil {
		p.Detail(text)
	}
}

// tellContainer tells what becomes of the container: how is "new", or that of others.
func (p *Plan) tellContainer(how string, binds int) {
	state := "read-only"
	if p.Writable {
		state = "writable, thrown away at the end"
	}
	started := map[option.Entrypoint]string{option.Login: "login shell", option.Image: "the image's entrypoint", option.None: "no shell"}[p.Entrypoint]
	p.note(fmt.Sprintf("container: %s, %s, %d binds, %s", how, state, binds, started))
}

// tellMounts tells what is bound.
func (p *Plan) tellMounts(binds []bindMount) {
	var devices []string
	for _, b := range binds {
		if name, ok := strings.CutPrefix(b.Target, "/dev/"); ok && (b.Source == b.Target || b.Kind != device.Bind) && len(b.Options) == 0 {
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
		p.detail("mount: " + text)
	}
	p.tellNames("mount: in /dev:", devices)
}

// tellEnvironment tells the names of the variables that the command gets, and from whom, and of those that it does not get. Never a
// value, which may be a secret.
func (p *Plan) tellEnvironment(caller, inside *environ) {
	if p.Detail == nil {
		return
	}
	by := map[string]string{"PATH": "hpc3", "HOME": "hpc3", "SHELL": "hpc3"}
	for _, e := range p.Config.Env {
		name, _, _ := strings.Cut(e, "=")
		by[name] = "the image"
	}
	for _, e := range p.SetEnv {
		name, _, _ := strings.Cut(e, "=")
		by[name] = "-e"
		if strings.HasPrefix(name, "HPC3_I") || name == "HPC3_VARIANT" {
			by[name] = "hpc3"
		}
	}
	names := map[string][]string{}
	for _, name := range inside.names {
		who := by[name]
		if _, passed := caller.values[name]; who == "" && passed {
			who = "passed"
		} else {
			who = "set by " + map[bool]string{true: "hpc3", false: who}[who == ""]
		}
		names[who] = append(names[who], name)
	}
	for _, e := range p.HostEnv {
		name, _, _ := strings.Cut(e, "=")
		if _, has := inside.values[name]; !has && !slices.Contains(bookkeeping, name) {
			names["dropped"] = append(names["dropped"], name)
		}
	}
	for _, who := range []string{"passed", "set by the image", "set by -e", "set by hpc3", "dropped"} {
		p.tellNames("environment, "+who+":", names[who])
	}
}

// columns is how long a line of names may be, so that it fits a terminal with the program's name in front.
const columns = 80 - len("hpc3-run: ")

// tellNames tells a list, in as many lines as it takes.
func (p *Plan) tellNames(what string, names []string) {
	line := what
	slices.Sort(names)
	for _, name := range slices.Compact(names) {
		if len(line)+len(" ")+len(name) > columns && line != what {
			p.detail(line)
			line = what
		}
		line += " " + name
	}
	if line != what {
		p.detail(line)
	}
}
