package slurm

import (
	"fmt"
	"io/fs"
	"path"
	"strings"
)

// PMIxDirs returns the directories of which one is what Slurm's PMIx has made for a step's ranks on a node. Open MPI makes its own in there, and does
// not start where it cannot; PMIx names it to the ranks, and no variable does. There is none where the ranks are not Slurm's. It takes
// variables of the ranks; conf is as in Features.
func PMIxDirs(fsys fs.FS, conf string, n Node, getenv func(string) string, uid int) []string {
	step, ok := strings.CutPrefix(getenv("PMIX_NAMESPACE"), "slurm.pmix.")
	if !ok || strings.Contains(step, "/") {
		return nil
	}
	if conf == "" {
		conf = usual(fsys)
	}
	base := getenv("SLURM_PMIX_TMPDIR")
	if base == "" && conf != "" {
		base = value(fsys, path.Join(path.Dir(conf), "mpi.conf"), "PMIxCliTmpDirBase")
	}
	if base == "" && conf != "" {
		host, _, _ := strings.Cut(n.Host, ".")
		base = strings.NewReplacer("%n", n.Name, "%h", host).Replace(value(fsys, conf, "TmpFS"))
	}
	if base == "" {
		base = "/tmp"
	}
	name := fmt.Sprintf("spmix_appdir_%d_%s", uid, step)
	dirs := []string{path.Join(base, name)}
	if server := getenv("PMIX_SERVER_TMPDIR"); path.IsAbs(server) { // with oci.conf it is beside that
		dirs = append(dirs, path.Join(path.Dir(path.Clean(server)), name))
	}
	return dirs
}

// value returns what a file and those that it includes say last of something. What cannot be read says nothing.
func value(fsys fs.FS, file, key string) string {
	r := reader{fsys: fsys, key: key, left: maxBytes}
	_ = r.file(file, 0)
	return r.value
}
