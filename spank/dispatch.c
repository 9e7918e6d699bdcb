/* spank_hpc3.so: the functions that Slurm calls, and which context calls what.
 *
 * Slurm loads the plugin into srun, sbatch, salloc, slurmd and slurmstepd. It is C without threads
 * and does little, because slurmd and slurmstepd fork, and slurmstepd runs as root.
 *
 *   submit  srun, sbatch, salloc  submit*.c, options.c: what is asked for
 *   task    slurmstepd            task.c: hpc3-run starts in place of the command
 *   slurmd, prolog and epilog     nothing
 *
 * libhpc3spank.so, which is Go, checks a request. Only srun, sbatch and salloc load it, and only
 * if a container is asked for.
 *
 * The image is in SLURM_CONTAINER: Slurm's own --container (since 21.08) sets it, and so do
 * --hpc3-image and, before 21.08, our --container. --export=NONE keeps it, and steps of a job
 * inherit it. Everything else travels in variables that begin with SLURM_HPC3_, for the same
 * reason. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <string.h>

#include "face.h"

#ifdef HPC3_ANY_VERSION
#include "anyversion.h"
#else
SPANK_PLUGIN(hpc3, 1)
#endif

/* In slurmd and slurmstepd this runs as root. */
int slurm_spank_init(spank_t spank, int ac, char **av)
{
	switch (spank_context()) {
	case S_CTX_LOCAL:
	case S_CTX_ALLOCATOR:
		return hpc3_submit_init(spank, ac, av);
	case S_CTX_REMOTE:
		return hpc3_step_init(spank, ac, av);
	default:
		return 0;
	}
}

/* In slurmstepd this runs as root. */
int slurm_spank_init_post_opt(spank_t spank, int ac, char **av)
{
	(void)spank;
	(void)ac;
	(void)av;
	switch (spank_context()) {
	case S_CTX_LOCAL:
	case S_CTX_ALLOCATOR:
		return hpc3_submit_post_opt();
	default:
		return 0;
	}
}

/* Slurm calls this in srun only, after the allocation and before the tasks start. */
int slurm_spank_local_user_init(spank_t spank, int ac, char **av)
{
	(void)ac;
	(void)av;
	return hpc3_submit_command(spank);
}

/* Slurm calls this in slurmstepd, with the user's rights, before the tasks are forked. */
int slurm_spank_user_init(spank_t spank, int ac, char **av)
{
	(void)ac;
	(void)av;
	hpc3_step_user_init(spank);
	return 0;
}

/* Slurm calls this in the process of a task, which is the user's by then. */
int slurm_spank_task_init(spank_t spank, int ac, char **av)
{
	return hpc3_task_init(spank, ac, av);
}

/* Slurm calls this in slurmstepd when a task has ended. This runs as root, and never fails. */
int slurm_spank_task_exit(spank_t spank, int ac, char **av)
{
	(void)ac;
	(void)av;
	hpc3_task_exit(spank);
	return 0;
}
