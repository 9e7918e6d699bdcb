/* In srun, sbatch and salloc: whether the limits of the caller leave room for Go. If they do not,
 * Go would end the process. */
#define _GNU_SOURCE
#include <pthread.h>
#include <stdio.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "face.h"

/* Bytes of address space that the library takes, measured by tests/tools/build-plugin. */
#ifndef HPC3_GO_SPACE
#define HPC3_GO_SPACE (2UL << 30)
#endif

#define THREADS     16          /* that Go may start at once, and descriptors that it may open */
#define USUAL_STACK (8UL << 20) /* of a thread, in the measurement */

static unsigned long kilobytes(unsigned long bytes)
{
	return bytes >> 10;
}

/* space_used returns the address space of this process in bytes. */
static unsigned long space_used(void)
{
	FILE *file = fopen("/proc/self/statm", "re");
	unsigned long pages = 0;

	if (file == NULL)
		return 0;
	if (fscanf(file, "%lu", &pages) != 1)
		pages = 0;
	fclose(file);
	return pages * (unsigned long)sysconf(_SC_PAGESIZE);
}

static bool no_space(void)
{
	struct rlimit space, stack;
	unsigned long need = space_used() + HPC3_GO_SPACE;

	if (getrlimit(RLIMIT_AS, &space) != 0 || getrlimit(RLIMIT_STACK, &stack) != 0 ||
		space.rlim_cur == RLIM_INFINITY)
		return false;
	if (stack.rlim_cur != RLIM_INFINITY && stack.rlim_cur > USUAL_STACK)
		need += THREADS * (stack.rlim_cur - USUAL_STACK);
	if (space.rlim_cur >= need)
		return false;
	slurm_info("hpc3: ulimit -v is %lu kB, and looking at the image needs %lu kB",
			   kilobytes(space.rlim_cur), kilobytes(need));
	return true;
}

static void *wait_forever(void *nothing)
{
	for (;;)
		pause();
	return nothing;
}

/* start_threads starts as many threads as Go may. Its process then ends. */
static int start_threads(void)
{
	for (int i = 0; i < THREADS; i++) {
		pthread_t thread;

		if (pthread_create(&thread, NULL, wait_forever, NULL) != 0)
			return 1;
	}
	return 0;
}

static bool no_threads(void)
{
	struct rlimit processes;
	int status = 1;
	pid_t child;

	if (getrlimit(RLIMIT_NPROC, &processes) != 0 || processes.rlim_cur == RLIM_INFINITY)
		return false;
	child = fork();
	if (child == 0)
		_exit(start_threads());
	if (child > 0 && waitpid(child, &status, 0) == child && status == 0)
		return false;
	slurm_info("hpc3: ulimit -u is %lu, and looking at the image needs %d more threads",
			   (unsigned long)processes.rlim_cur, THREADS);
	return true;
}

static bool no_descriptors(void)
{
	int taken[THREADS], n = 0;
	bool none;

	while (n < THREADS && (taken[n] = dup(STDERR_FILENO)) >= 0)
		n++;
	none = n < THREADS;
	while (n > 0)
		close(taken[--n]);
	if (none)
		slurm_info("hpc3: ulimit -n leaves less than the %d that looking at the image needs",
				   THREADS);
	return none;
}

bool hpc3_room_for_go(void)
{
	if (!no_space() && !no_threads() && !no_descriptors())
		return true;
	slurm_info("hpc3: so it is looked at on the nodes, and not now");
	return false;
}
