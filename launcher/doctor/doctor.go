// Package doctor looks at all that the road needs on a node, and says what is missing.
package doctor

import (
	"context"
	"fmt"
	"os"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/hpc3-project/hpc3/launcher/caches"
	"github.com/hpc3-project/hpc3/launcher/fault"
	"github.com/hpc3-project/hpc3/launcher/nodes"
	"github.com/hpc3-project/hpc3/launcher/notes"
	"github.com/hpc3-project/hpc3/launcher/run/apptainer"
	"github.com/hpc3-project/hpc3/launcher/upkeep"
	"github.com/hpc3-project/hpc3/probe/facts"
)

// Finding is one thing that doctor looked at.
type Finding struct {
	What string `json:"what"`
	// State is "ok", "note" (works without), "fault" (works, and not as the site means it to) or
	// "missing".
	State string `json:"state"`
	Text  string `json:"text"`           // what was seen
	Mend  string `json:"mend,omitempty"` // what to do; empty with "ok"
}

// What is to be done about more than one finding.
const (
	moreRoom  = "set HPC3_CACHEDIR to a directory with some GB of room"
	notNeeded = "not needed: hpc3 has an engine of its own"
)

// Diagnosis is what doctor says of a node.
type Diagnosis struct {
	SchemaVersion int       `json:"schemaVersion"`
	Ready         bool      `json:"ready"` // an image can be fetched and run here
	Findings      []Finding `json:"findings"`
}

// Doctor looks at a node by the settings of a walk.
type Doctor struct {
	nodes.Finder
	Keeper upkeep.Keeper
}

// Examine looks at all that the road needs on this node.
func (d Doctor) Examine(ctx context.Context) Diagnosis {
	found := Diagnosis{SchemaVersion: 1}
	found.Findings = append(found.Findings, d.examineNode(ctx)...)
	cache := d.examineCache()
	userns, fuse := examineNamespaces(), examineFUSE()
	apptainer := d.examineApptainer(ctx)
	found.Findings = append(found.Findings, d.examineSettings(), cache)
	found.Findings = append(append(found.Findings, d.examineTiers()...), userns, fuse, apptainer)
	found.Findings = append(found.Findings, d.examineSlurm()...)
	native := userns.State == "ok" && fuse.State == "ok"
	found.Ready = cache.State != "missing" && (native || apptainer.State == "ok")
	return found
}

func (d Doctor) examineNode(ctx context.Context) []Finding {
	node, err := d.Probe(ctx)
	if err != nil {
		mend := "report this together with /proc/cpuinfo"
		return []Finding{{"node", "missing", err.Error(), mend}}
	}
	if node, err = d.Labelled(node); err != nil {
		_, hints, _ := fault.Of(err, fault.Config)
		return []Finding{{"node", "missing", err.Error(), strings.Join(hints, "; ")}}
	}
	findings := []Finding{{What: "node", State: "ok", Text: nodes.Line([]facts.Node{node}, "")}}
	for _, u := range node.Unknown {
		findings = append(findings, Finding{
			u.What, "note", "unknown: " + u.Why,
			"images that ask for it are refused until it can be told",
		})
	}
	return findings
}

func (d Doctor) examineSettings() Finding {
	if d.Site.File == "" {
		return Finding{What: "site file", State: "ok", Text: "none; every setting has its default"}
	}
	return Finding{What: "site file", State: "ok", Text: d.Site.File}
}

func (d Doctor) examineCache() Finding {
	if _, err := d.Keeper.Caches.Own(); err != nil {
		_, hints, _ := fault.Of(err, fault.Cache)
		return Finding{"cache", "missing", err.Error(), strings.Join(hints, "; ")}
	}
	dir := d.Keeper.Caches.Dir()
	var fs unix.Statfs_t
	if err := unix.Statfs(caches.Existing(dir), &fs); err != nil {
		return Finding{"cache", "note", fmt.Sprintf("%s: %v", dir, err), moreRoom}
	}
	free := float64(fs.Bavail) * float64(fs.Bsize) / 1e9
	if free < 2 {
		return Finding{"cache", "note", fmt.Sprintf("%s, only %.1f GB free", dir, free), moreRoom}
	}
	return Finding{What: "cache", State: "ok", Text: fmt.Sprintf("%s, %.0f GB free", dir, free)}
}

// Sound tells whether nothing is to be mended: images run here, and caches of the site are of use.
func (d Diagnosis) Sound() bool {
	return d.Ready && !slices.ContainsFunc(d.Findings,
		func(f Finding) bool { return f.State == "fault" })
}

// examineTiers looks at the caches of the site as their users do. None is needed, but without one
// each user fetches what it has.
func (d Doctor) examineTiers() []Finding {
	var findings []Finding
	for _, t := range d.Keeper.Caches.Tiers() {
		f := Finding{What: "site cache", State: "ok", Text: t.Dir}
		if t.Home {
			f.What = "read-only cache"
			findings = append(findings, f)
			continue
		}
		seen := d.Keeper.AsOthers(t.Cache)
		f.Text = t.Dir + ", " + notes.Images(seen.Images)
		if seen.Hidden > 0 {
			f.Text += fmt.Sprintf(" and %d that only their owner reads", seen.Hidden)
		}
		if seen.Why != "" {
			f.State, f.Text, f.Mend = "fault", t.Dir+": "+seen.Why, seen.Mend
		}
		findings = append(findings, f)
	}
	return findings
}

func examineNamespaces() Finding {
	if err := apptainer.CanMakeNamespaces(); err != nil {
		return Finding{"user namespaces", "missing", fault.Reason(err).Error(), namespaceHint()}
	}
	return Finding{What: "user namespaces", State: "ok", Text: "can be made"}
}

func namespaceHint() string {
	settings := []struct{ file, bad, mend string }{
		{"/proc/sys/user/max_user_namespaces", "0", "sysctl user.max_user_namespaces=15000"},
		{
			"/proc/sys/kernel/unprivileged_userns_clone", "0",
			"sysctl kernel.unprivileged_userns_clone=1",
		},
		{
			"/proc/sys/kernel/apparmor_restrict_unprivileged_userns", "1",
			"an AppArmor profile that allows userns for hpc3-run, " +
				"or sysctl kernel.apparmor_restrict_unprivileged_userns=0",
		},
	}
	for _, s := range settings {
		if raw, err := os.ReadFile(s.file); err == nil && strings.TrimSpace(string(raw)) == s.bad {
			return "as root: " + s.mend
		}
	}
	return "a chroot or a seccomp filter forbids them; outside of it they work"
}

func examineFUSE() Finding {
	f, err := os.OpenFile("/dev/fuse", os.O_RDWR, 0)
	if err != nil {
		return Finding{
			"/dev/fuse", "missing", fault.Reason(err).Error(),
			"as root: modprobe fuse; chmod 0666 /dev/fuse (the package fuse3 does both at boot)",
		}
	}
	_ = f.Close() // opened to see whether it can be
	return Finding{What: "/dev/fuse", State: "ok", Text: "can be opened"}
}

func (d Doctor) examineApptainer(ctx context.Context) Finding {
	path, whyNot := apptainer.Find(ctx, d.Host.Getenv, d.Host.UID)
	if path == "" {
		return Finding{"Apptainer", "note", whyNot, notNeeded}
	}
	if whyNot == "" {
		whyNot = apptainer.Works(path)
	}
	if whyNot != "" {
		return Finding{"Apptainer", "note", path + ": " + whyNot, notNeeded}
	}
	conf, err := apptainer.ReadConf(path, d.Host.Getenv)
	if err != nil {
		return Finding{
			"Apptainer", "note", path + ": " + err.Error(),
			"Apptainer will not start either: mend the file",
		}
	}
	var differs []string
	all := apptainer.Wanted{
		Home: true, Binds: true, Writable: true, Rootless: apptainer.Rootless(path, conf),
	}
	for _, d := range conf.Departures(all) {
		differs = append(differs, d.String())
	}
	if len(differs) > 0 {
		return Finding{
			"Apptainer", "note", path + ", but " + conf.File + " says " + strings.Join(differs,
				"; "),
			"with --engine auto hpc3's own engine stands in, where it can; " +
				"--engine apptainer follows these settings",
		}
	}
	return Finding{What: "Apptainer", State: "ok", Text: path}
}
