package launcher

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"os"
	"strings"

	"github.com/hpc3-project/hpc3/launcher/fault"
	"github.com/hpc3-project/hpc3/launcher/option"
	"github.com/hpc3-project/hpc3/launcher/run"
)

// Begin starts what takes its time to start, and is needed once the image has been found. What it started and what was not needed ends with
// the function that it returns.
func (r *Road) Begin(ctx context.Context) (end func()) {
	engine, _, err := r.Engine(ctx)
	if err != nil || engine != option.Native || r.Option.Share && run.MayJoin(r.Host.Getenv) {
		return func() {} // an error comes again, where it is told
	}
	server, err := run.StartServer(r.Host.Getenv)
	if err != nil {
		return func() {} // as well
	}
	r.server = server
	return func() { _ = server.Close() } // it is open
}

// AccountHome returns the home directory of the caller's account, for what is started without HOME; "" where the node knows none.
func AccountHome(ctx context.Context) string { return run.AccountHome(ctx) }

// Engine returns what runs the image and, for Apptainer, its path.
func (r *Road) Engine(ctx context.Context) (option.Engine, string, error) {
	if r.engine.name == "" {
		name, path, err := r.chooseEngine(ctx)
		if err != nil {
			return "", "", err
		}
		r.engine.name, r.engine.path = name, path
	}
	return r.engine.name, r.engine.path, nil
}

func (r *Road) chooseEngine(ctx context.Context) (option.Engine, string, error) {
	if r.Option.Engine == option.Native {
		return option.Native, "", nil
	}
	path, whyNot := run.FindApptainer(ctx, r.Host.Getenv, r.Host.UID)
	if whyNot == "" {
		whyNot = r.works(path)
	}
	if whyNot == "" {
		whyNot = r.heedConf(path)
	}
	switch {
	case whyNot == "":
		return option.Apptainer, path, nil
	case r.Option.Engine == option.Apptainer:
		return "", "", fault.New(fault.Engine, "using Apptainer: %s", whyNot).Hint("leave --engine or HPC3_ENGINE out, or say native")
	case path != "":
		r.note("not using Apptainer: %s", whyNot)
	}
	return option.Native, "", nil
}

// heedConf reads the site's settings of Apptainer, and returns why it is not used, or "". What
// differs by them from the manual is told, unless hpc3's own engine can stand in.
func (r *Road) heedConf(path string) string {
	conf, err := run.ReadApptainerConf(path, r.Host.Getenv)
	if err != nil {
		r.note("%v", err)
	}
	r.engine.conf = conf
	differs := conf.Departures(run.Wanted{
		Home: r.Option.MountHome, Binds: len(r.Option.Mounts) > 0, Writable: r.Option.Writable, Rootless: run.Rootless(path, conf),
	})
	standIn := len(differs) > 0 && r.Option.Engine != option.Apptainer && run.WhyNotNative() == nil
	for _, d := range differs {
		if d.Fatal || standIn {
			return fmt.Sprintf("%s says %s", conf.File, d)
		}
	}
	for _, d := range differs {
		r.note("Apptainer: %s says %s", conf.File, d)
	}
	return ""
}

// works returns why Apptainer does not work for this user, or "". A good answer is remembered until the node is booted or the
// program replaced, since asking takes longer than all else before a cached image starts.
func (r *Road) works(path string) string {
	name := r.verdictName(path)
	if name != "" && r.proven(name) {
		return ""
	}
	whyNot := run.Works(path)
	if whyNot == "" && name != "" {
		r.prove(name)
	}
	return whyNot
}

// verdictName is made of everything that the verdict on Apptainer depends on; "" where that cannot be told.
func (r *Road) verdictName(path string) string {
	info, err := os.Stat(path)
	if err != nil {
		return ""
	}
	boot, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		return ""
	}
	sum := sha256.Sum256(fmt.Appendf(nil, "%s %d %d %d %s", path, info.Size(), info.ModTime().UnixNano(), r.Host.UID, strings.TrimSpace(string(boot))))
	return "engine-" + hex.EncodeToString(sum[:16])
}

func (r *Road) examineApptainer(ctx context.Context) Finding {
	path, whyNot := run.FindApptainer(ctx, r.Host.Getenv, r.Host.UID)
	if path == "" {
		return Finding{"Apptainer", "note", whyNot, "not needed: hpc3 has an engine of its own"}
	}
	if whyNot == "" {
		whyNot = run.Works(path)
	}
	if whyNot != "" {
		return Finding{"Apptainer", "note", path + ": " + whyNot, "not needed: hpc3 has an engine of its own"}
	}
	conf, err := run.ReadApptainerConf(path, r.Host.Getenv)
	if err != nil {
		return Finding{"Apptainer", "note", path + ": " + err.Error(), "Apptainer will not start either: mend the file"}
	}
	var differs []string
	for _, d := range conf.Departures(run.Wanted{Home: true, Binds: true, Writable: true, Rootless: run.Rootless(path, conf)}) {
		differs = append(differs, d.String())
	}
	if len(differs) > 0 {
		return Finding{
			"Apptainer", "note", path + ", but " + conf.File + " says " + strings.Join(differs, "; "),
			"with --engine auto hpc3's own engine stands in, where it can; --engine apptainer follows these settings",
		}
	}
	return Finding{What: "Apptainer", State: "ok", Text: path}
}
