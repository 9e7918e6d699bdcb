/* spank_hpc3.so: the face that hpc3 shows to Slurm.
 *
 * Slurm loads it into srun, sbatch, salloc, slurmd and slurmstepd. There is no Go in it, no thread, and no work: slurmd and slurmstepd fork, and
 * what runs in slurmstepd runs as root. What has to be thought about is thought about by libhpc3spank.so, which is loaded only into srun, sbatch and
 * salloc, and only where a container is asked for; what has to be done is done by hpc3-run, which takes the place of a task's command.
 *
 * The ways of an image: Slurm's own --container (21.08 and later) puts it into SLURM_CONTAINER, and so do --hpc3-image and, for an older Slurm,
 * --container here. It survives --export=NONE and reaches steps inside of a job. What else is asked for travels in variables that begin with
 * SLURM_HPC3_ for the same reason; their content is between the library and hpc3-run.
 *
 * This file is what all of Slurm's programs run, options.c and submit.c what srun, sbatch and salloc do while they read their options, library.c how
 * they ask the library, command.c what srun does to the command, and node.c what slurmstepd does for a task.
 */
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
			slurm_error("hpc3: plugstack.conf: %s: known are launcher=/PATH library=/PATH prefix=NAME batch=host|container", av[i]);
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
