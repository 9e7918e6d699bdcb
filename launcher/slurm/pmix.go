package slurm

import (
	"fmt"
	"io/fs"
	"path"
	"strings"
)

// PMIxDirs returns the directories of which one is Slurm's PMIx's for the ranks of a step on a
// node. Open MPI makes its own directory in there, and does not start if it cannot; PMIx tells the
// ranks its path, and no variable holds it. There is none if the ranks are not Slurm's. getenv
// reads variables of the ranks; conf is as in Features.
func PMIxDirs(fsys fs.FS, conf string, n Node, getenv func(string) string, uid int) []string {
	step, ok := strings.CutPrefix(getenv("PMIX_NAMESPACE"), "slurm.pmix.")
	if !ok || strings.Contains(step, "/") {
		return nil
	}
	if conf == "" {
		conf = defaultConf(fsys)
	}
	base := getenv("SLURM_PMIX_TMPDIR")
	if base == "" && conf != "" {
		base = valueOf(fsys, path.Join(path.Dir(conf), "mpi.conf"), "PMIxCliTmpDirBase")
	}
	if base == "" && conf != "" {
		host, _, _ := strings.Cut(n.Host, ".")
		base = strings.NewReplacer("%n", n.Name, "%h", host).Replace(valueOf(fsys, conf, "TmpFS"))
	}
	if base == "" {
		base = "/tmp"
	}
	name := fmt.Sprintf("spmix_appdir_%d_%s", uid, step)
	dirs := []string{path.Join(base, name)}
	// With oci.conf it is beside the server's.
	if server := getenv("PMIX_SERVER_TMPDIR"); path.IsAbs(server) {
		dirs = append(dirs, path.Join(path.Dir(path.Clean(server)), name))
	}
	return dirs
}

// valueOf returns the last value of a key in a file and the files that it includes; "" if they
// cannot be read.
func valueOf(fsys fs.FS, file, key string) string {
	r := reader{fsys: fsys, key: key, left: maxBytes}
	_ = r.file(file, 0)
	return r.value
}
