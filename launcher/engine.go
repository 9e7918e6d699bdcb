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
	"github.com/hpc3-project/hpc3/launcher/run/apptainer"
	"github.com/hpc3-project/hpc3/launcher/run/inside"
	"github.com/hpc3-project/hpc3/launcher/run/native"
)

// Engine is what runs an image.
type Engine struct {
	Name option.Engine
	Path string         // of Apptainer
	Conf apptainer.Conf // the site's settings of it
}

// AccountHome returns the home directory of the caller's account, for what is started without HOME;
// "" if the node knows none.
func AccountHome(ctx context.Context) string { return inside.AccountHome(ctx) }

// serveAhead starts what takes its time to start, and is needed once the image is found; nil for
// nothing. An error comes again where it is told.
func (r *Road) serveAhead(ctx context.Context) *native.Server {
	engine, err := r.Engine(ctx)
	joins := r.Option.Share && inside.MayJoin(r.Host.Getenv)
	if err != nil || engine.Name != option.Native || joins || r.Host.NoStart {
		return nil
	}
	server, err := native.StartServer(r.Host.Getenv)
	if err != nil {
		return nil
	}
	return server
}

// Engine returns what runs the image. It is chosen once.
func (r *Road) Engine(ctx context.Context) (Engine, error) {
	if r.engine == nil {
		chosen, err := r.chooseEngine(ctx)
		if err != nil {
			return Engine{}, err
		}
		r.engine = &chosen
	}
	return *r.engine, nil
}

func (r *Road) chooseEngine(ctx context.Context) (Engine, error) {
	if r.Option.Engine == option.Native {
		return Engine{Name: option.Native}, nil
	}
	through := Engine{Name: option.Apptainer}
	path, whyNot := apptainer.Find(ctx, r.Host.Getenv, r.Host.UID)
	through.Path = path
	if whyNot == "" {
		whyNot = r.works(path)
	}
	if whyNot == "" {
		through.Conf, whyNot = r.heedConf(path)
	}
	switch {
	case whyNot == "":
		return through, nil
	case r.Option.Engine == option.Apptainer:
		return Engine{}, fault.New(fault.Engine, "using Apptainer: %s", whyNot).
			Hint("leave --engine or HPC3_ENGINE out, or say native")
	case path != "":
		r.Notef("not using Apptainer: %s", whyNot)
	}
	return Engine{Name: option.Native}, nil
}

// heedConf reads the site's settings of Apptainer, and returns why it is not used, or "". Other
// departures from the manual are told, unless hpc3's own engine can stand in.
func (r *Road) heedConf(path string) (apptainer.Conf, string) {
	conf, err := apptainer.ReadConf(path, r.Host.Getenv)
	if err != nil {
		r.Notef("%v", err)
	}
	differs := conf.Departures(apptainer.Wanted{
		Home: r.Option.MountHome, Binds: len(r.Option.Mounts) > 0, Writable: r.Option.Writable,
		Rootless: apptainer.Rootless(path, conf),
	})
	standIn := len(differs) > 0 && r.Option.Engine != option.Apptainer && native.WhyNot() == nil
	for _, d := range differs {
		if d.Fatal || standIn {
			return conf, fmt.Sprintf("%s says %s", conf.File, d)
		}
	}
	for _, d := range differs {
		r.Notef("Apptainer: %s says %s", conf.File, d)
	}
	return conf, ""
}

// works returns why Apptainer does not work for this user, or "". A good answer is remembered until
// the node is booted or the program replaced, since asking takes longer than all else before a
// cached image starts.
func (r *Road) works(path string) string {
	name := r.verdictName(path)
	if name != "" && r.caches().Proven(name) {
		return ""
	}
	whyNot := apptainer.Works(path)
	if whyNot == "" && name != "" {
		r.caches().Prove(name)
	}
	return whyNot
}

// verdictName is made of everything that the verdict on Apptainer depends on; "" if that cannot be
// told.
func (r *Road) verdictName(path string) string {
	info, err := os.Stat(path)
	if err != nil {
		return ""
	}
	boot, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		return ""
	}
	of := fmt.Appendf(nil, "%s %d %d %d %s", path, info.Size(), info.ModTime().UnixNano(),
		r.Host.UID, strings.TrimSpace(string(boot)))
	sum := sha256.Sum256(of)
	return "engine-" + hex.EncodeToString(sum[:16])
}
