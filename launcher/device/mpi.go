package device

import (
	"path"
	"slices"
	"strings"
)

// mpi adds the places where Slurm, PMIx and mpirun leave sockets and shared files for the ranks,
// and the files that variables name.
func (a *Ask) mpi(f *Found) {
	dirs := slices.Clone(a.Places)
	for _, name := range []string{
		"PMIX_SERVER_TMPDIR", "PMIX_SYSTEM_TMPDIR", "PMIX_DSTORE_ESH_BASE_PATH",
		"OMPI_MCA_orte_tmpdir_base", "OMPI_MCA_orte_top_session_dir",
		"OMPI_MCA_orte_jobfam_session_dir", "OMPI_FILE_LOCATION", "PRTE_MCA_prte_tmpdir_base",
		"PRTE_MCA_prte_top_session_dir", "CUDA_MPS_PIPE_DIRECTORY",
	} {
		dirs = append(dirs, a.getenv(name))
	}
	for _, name := range []string{
		"PMIX_SERVER_URI", "PMIX_SERVER_URI2", "PMIX_SERVER_URI21", "PMIX_SERVER_URI3",
		"PMIX_SERVER_URI4", "PMIX_SERVER_URI41",
	} {
		if _, socket, ok := strings.Cut(a.getenv(name), ":/"); ok &&
			!strings.HasPrefix(socket, "/") { // tcp4://... names no file
			dirs = append(dirs, path.Dir("/"+socket))
		}
	}
	if a.getenv("SLURM_JOB_ID") != "" || strings.Contains(a.getenv("PMIX_SECURITY_MODE"), "munge") {
		dirs = append(dirs, "/run/munge")
	}
	for _, dir := range dirs {
		if path.IsAbs(dir) && a.exists(dir) && !slices.Contains(f.Dirs, dir) {
			f.Dirs = append(f.Dirs, dir)
		}
	}
	for _, name := range []string{"NCCL_TOPO_FILE", "NCCL_CONF_FILE"} {
		if file := a.getenv(name); path.IsAbs(file) && a.exists(file) {
			f.Dirs = append(f.Dirs, file)
		}
	}
	if len(f.Dirs) > 0 {
		f.note("MPI: " + strings.Join(f.Dirs, " "))
	}
}
