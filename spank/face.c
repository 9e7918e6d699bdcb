/* spank_hpc3.so: what Slurm loads of hpc3.
 *
 * Slurm loads it into srun, sbatch, salloc, slurmd and slurmstepd. It has no Go, no threads, and
 * does little: slurmd and slurmstepd fork, and slurmstepd runs as root. libhpc3spank.so, which
 * is Go, checks what is submitted; it is loaded only into srun, sbatch and salloc, and only if a
 * container is asked for. hpc3-run does the rest, in the place of the command.
 *
 * The image is in SLURM_CONTAINER: Slurm's own --container (since 21.08) sets it, and so do
 * --hpc3-image and, before 21.08, our --container. --export=NONE keeps it, and steps of a job
 * inherit it. All else travels in variables that begin with SLURM_HPC3_ for the same reason.
 *
 * This file runs in all of Slurm's programs; options.c, submit.c, path.c, words.c, refuse.c, library.c
 * and limits.c run in srun, sbatch and salloc, command.c and multiprog.c in srun, node.c in slurmstepd. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>
#include <unistd.h>

#include "face.h"

#ifdef HPC3_ANY_VERSION
#include "anyversion.h"
#else
SPANK_PLUGIN(hpc3, 1)
#endif

#define DEFAULT_LAUNCHER "/usr/local/bin/hpc3-run"

struct conf hpc3_conf = {DEFAULT_LAUNCHER, NULL, "container", false};

static pid_t slurmstepd;

pid_t hpc3_slurmstepd(void)
{
	return slurmstepd;
}

/* The words behind spank_hpc3.so in plugstack.conf. */
int hpc3_configure(int ac, char **av)
{
	for (int i = 0; i < ac; i++) {
		const char *value = strchr(av[i], '=');

		value = value == NULL ? "" : value + 1;
		if (strncmp(av[i], "launcher=/", 10) == 0) {
			hpc3_conf.launcher = value;
		} else if (strncmp(av[i], "library=/", 9) == 0) {
			hpc3_conf.library = value;
		} else if (strncmp(av[i], "prefix=", 7) == 0 && *value != '\0' && strlen(value) < 32) {
			hpc3_conf.prefix = value;
		} else if (strcmp(av[i], "batch=container") == 0 || strcmp(av[i], "batch=host") == 0) {
			hpc3_conf.batch_in_container = strcmp(value, "container") == 0;
		} else {
			hpc3_say("plugstack.conf: %s is not one of", av[i]);
			hpc3_say("launcher=/PATH library=/PATH prefix=NAME batch=host|container");
			return -1;
		}
	}
	return 0;
}

bool hpc3_submits(void)
{
	return spank_context() == S_CTX_LOCAL || spank_context() == S_CTX_ALLOCATOR;
}

int slurm_spank_init(spank_t spank, int ac, char **av)
{
	spank_context_t context = spank_context();

	if (context == S_CTX_SLURMD || context == S_CTX_JOB_SCRIPT)
		return 0;
	slurmstepd = getpid();
	/* On a node a failure here would drain it: a task says it itself, see slurm_spank_task_init. */
	if (hpc3_configure(ac, av) != 0 && hpc3_submits())
		return -1;
	if (hpc3_register_options(spank) != 0 && hpc3_submits())
		return -1;
	return hpc3_submits() ? hpc3_before_options() : 0;
}
