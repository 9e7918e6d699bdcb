package launcher

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/hpc3-project/hpc3/launcher/fault"
	"github.com/hpc3-project/hpc3/launcher/outside"
	"github.com/hpc3-project/hpc3/launcher/run"
	"github.com/hpc3-project/hpc3/probe"
)

// Finding is one thing that doctor looked at.
type Finding struct {
	What  string `json:"what"`
	State string `json:"state"`          // "ok", "note" (works without), "fault" (works, and not as the site means it to), "missing"
	Text  string `json:"text"`           // what was seen
	Mend  string `json:"mend,omitempty"` // what to do; empty with "ok"
}

// Diagnosis is what doctor says of a node.
type Diagnosis struct {
	SchemaVersion int       `json:"schemaVersion"`
	Ready         bool      `json:"ready"` // an image can be fetched and run here
	Findings      []Finding `json:"findings"`
}

// Doctor looks at all that the road needs on this node.
func (r *Road) Doctor(ctx context.Context) Diagnosis {
	d := Diagnosis{SchemaVersion: 1}
	d.Findings = append(d.Findings, r.examineNode(ctx)...)
	cache := r.examineCache()
	userns, fuse := examineNamespaces(), examineFUSE()
	apptainer := r.examineApptainer(ctx)
	d.Findings = append(d.Findings, r.examineSettings(), cache)
	d.Findings = append(append(d.Findings, r.examineTiers()...), userns, fuse, apptainer)
	d.Findings = append(d.Findings, r.examineSlurm()...)
	native := userns.State == "ok" && fuse.State == "ok"
	d.Ready = cache.State != "missing" && (native || apptainer.State == "ok")
	return d
}

func (r *Road) examineNode(ctx context.Context) []Finding {
	r.tellFiles()
	node, err := probe.Node(ctx, r.probeOptions())
	if err != nil {
		return []Finding{{"node", "missing", err.Error(), "report this together with /proc/cpuinfo"}}
	}
	if node, err = r.labelled(node); err != nil {
		_, hints, _ := fault.Of(err, fault.Config)
		return []Finding{{"node", "missing", err.Error(), strings.Join(hints, "; ")}}
	}
	findings := []Finding{{What: "node", State: "ok", Text: nodeLine(node, "")}}
	for _, u := range node.Unknown {
		findings = append(findings, Finding{u.What, "note", "unknown: " + u.Why, "images that ask for it are refused until it can be told"})
	}
	return findings
}

func (r *Road) examineSettings() Finding {
	if r.Site.File == "" {
		return Finding{What: "site file", State: "ok", Text: "none; every setting has its default"}
	}
	return Finding{What: "site file", State: "ok", Text: r.Site.File}
}

// existing returns a directory, or the nearest above it that is there: a cache is made when something is put into it.
func existing(dir string) string {
	for {
		_, err := os.Stat(dir)
		parent := filepath.Dir(dir)
		if !os.IsNotExist(err) || parent == dir {
			return dir
		}
		dir = parent
	}
}

func (r *Road) examineCache() Finding {
	if _, err := r.Store(); err != nil {
		_, hints, _ := fault.Of(err, fault.Cache)
		return Finding{"cache", "missing", err.Error(), strings.Join(hints, "; ")}
	}
	dir := r.CacheDir()
	var fs unix.Statfs_t
	if err := unix.Statfs(existing(dir), &fs); err != nil {
		return Finding{"cache", "note", fmt.Sprintf("%s: %v", dir, err), "set HPC3_CACHEDIR to a directory with some GB of room"}
	}
	free := float64(fs.Bavail) * float64(fs.Bsize) / 1e9
	if free < 2 {
		return Finding{"cache", "note", fmt.Sprintf("%s, only %.1f GB free", dir, free), "set HPC3_CACHEDIR to a directory with some GB of room"}
	}
	return Finding{What: "cache", State: "ok", Text: fmt.Sprintf("%s, %.0f GB free", dir, free)}
}

// Sound tells whether nothing is to be mended: images run here, and caches of the site are of use.
func (d Diagnosis) Sound() bool {
	return d.Ready && !slices.ContainsFunc(d.Findings, func(f Finding) bool { return f.State == "fault" })
}

// examineTiers looks at the caches of the site as their users do. None is needed, but without one each user fetches what it has.
func (r *Road) examineTiers() []Finding {
	var findings []Finding
	for _, t := range r.caches() {
		f := Finding{What: "site cache", State: "ok", Text: t.Dir}
		if t.home {
			f.What = "read-only cache"
			findings = append(findings, f)
			continue
		}
		seen := r.asOthers(t.Cache)
		f.Text = t.Dir + ", " + Images(seen.images)
		if seen.hidden > 0 {
			f.Text += fmt.Sprintf(" and %d that only their owner reads", seen.hidden)
		}
		if seen.why != "" {
			f.State, f.Text, f.Mend = "fault", t.Dir+": "+seen.why, seen.mend
		}
		findings = append(findings, f)
	}
	return findings
}

func examineNamespaces() Finding {
	if err := run.CanMakeNamespaces(); err != nil {
		return Finding{"user namespaces", "missing", outside.Reason(err).Error(), namespaceHint()}
	}
	return Finding{What: "user namespaces", State: "ok", Text: "can be made"}
}

func namespaceHint() string {
	settings := []struct{ file, bad, mend string }{
		{"/proc/sys/user/max_user_namespaces", "0", "sysctl user.max_user_namespaces=15000"},
		{"/proc/sys/kernel/unprivileged_userns_clone", "0", "sysctl kernel.unprivileged_userns_clone=1"},
		{"/proc/sys/kernel/apparmor_restrict_unprivileged_userns", "1", "an AppArmor profile that allows userns for hpc3-run, or sysctl kernel.apparmor_restrict_unprivileged_userns=0"},
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
		return Finding{"/dev/fuse", "missing", outside.Reason(err).Error(), "as root: modprobe fuse; chmod 0666 /dev/fuse (the package fuse3 does both at boot)"}
	}
	_ = f.Close() // opened to see whether it can be
	return Finding{What: "/dev/fuse", State: "ok", Text: "can be opened"}
}
