package apptainer

import (
	"context"
	"os"
	"path/filepath"
	"slices"

	"github.com/hpc3-project/hpc3/launcher/device"
	"github.com/hpc3-project/hpc3/launcher/fault"
	"github.com/hpc3-project/hpc3/launcher/option"
	"github.com/hpc3-project/hpc3/launcher/run/inside"
)

// devices returns the options for devices that Apptainer does not bring by itself; its /dev is the
// node's. The choice of GPUs is left to CUDA, see env.
func (s *start) devices(ctx context.Context, img inside.Files,
	found device.Found,
) ([]string, error) {
	var args []string
	if found.NVIDIA {
		args = append(args, "--nv")
	}
	if s.mayNotBind() {
		return args, nil
	}
	var mounts []option.Mount
	var accounts []string
	for _, m := range found.Client {
		mounts = append(mounts,
			option.Mount{Source: m.Source, Target: m.Target, Options: []string{"ro"}})
		accounts = s.Accounts(ctx)
	}
	for _, m := range append(mounts, s.databases(ctx, img, accounts)...) {
		flag, spec, err := mountFlag(m)
		if err != nil {
			return nil, err
		}
		args = append(args, flag, spec)
	}
	return args, nil
}

// mounts returns the caller's mounts without devices that Apptainer brings in any case. Devices do
// not work in anything else that it mounts.
func (s *start) mounts() ([]option.Mount, error) {
	var mounts []option.Mount
	for _, m := range s.Mounts {
		itself := filepath.Clean(m.Source) == filepath.Clean(m.Target) &&
			inside.Within(filepath.Clean(m.Target), "/dev")
		switch {
		case !itself && !holdsDevices(m.Source):
			mounts = append(mounts, m)
		case itself && len(m.Options) == 0 && s.Program.Conf.Is("mount dev", "minimal"):
			// Apptainer can bind a device to its own path
			mounts = append(mounts, m)
		case itself && !m.ReadOnly() && !s.Program.Conf.Is("mount dev", "no", "minimal"):
			s.Note("not binding " + m.Source + ": Apptainer has all of the node's /dev there")
		default:
			return nil, UnfitError{fault.New(fault.Mount,
				"binding %s to %s: devices do not work in what Apptainer binds", m.Source,
				m.Target).
				Hint("bind it to its own path, or use --engine native")}
		}
	}
	return mounts, nil
}

// holdsDevices tells whether a file is a device, or a directory in /dev that contains some.
func holdsDevices(file string) bool {
	info, err := os.Stat(file)
	if err != nil || !info.IsDir() || !inside.Within(filepath.Clean(file), "/dev") {
		return err == nil && info.Mode()&os.ModeDevice != 0
	}
	entries, err := os.ReadDir(file)
	return err != nil || slices.ContainsFunc(entries,
		func(e os.DirEntry) bool { return e.Type()&os.ModeDevice != 0 })
}
