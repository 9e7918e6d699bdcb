/* On a node, in slurmstepd: a task of a step with an image starts as hpc3-run. hpc3_step_init and
 * hpc3_task_exit run as root, and everything else as the user, mostly in the process of a task. */
#define _GNU_SOURCE
#include <errno.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/types.h>
#include <unistd.h>

#include "face.h"

#define WORD (PATH_MAX * 4)

static pid_t slurmstepd; /* the parent of the tasks */

/* hpc3_step_init runs as root, before the tasks are forked. It never fails: that would drain the
 * node. A task reports a wrong plugstack.conf itself. */
int hpc3_step_init(spank_t spank, int ac, char **av)
{
	slurmstepd = getpid();
	(void)hpc3_configure(ac, av);
	(void)hpc3_register_options(spank);
	return 0;
}

/* die ends a task that must not run on the host. */
static void die(const char *what, const char *why)
{
	slurm_error("hpc3: %s: %s", what, why);
	_exit(126);
}

static bool job_variable(spank_t spank, const char *name, char *value, int size)
{
	spank_err_t err = spank_getenv(spank, name, value, size);

	if (err == ESPANK_NOSPACE)
		die(name, "it is too long");
	return err == ESPANK_SUCCESS && *value != '\0';
}

static void set_task(spank_t spank, const char *value)
{
	if (spank_setenv(spank, V_TASK, value, 1) != ESPANK_SUCCESS)
		die("setting " V_TASK, "out of memory");
}

/* end_with_slurmstepd asks the kernel to kill the task when slurmstepd dies. hpc3-run does so for
 * the command, but cannot know whether its parent has died before. A parent outside of the PID
 * namespace has the number 0. */
static void end_with_slurmstepd(void)
{
	pid_t parent;

	if (prctl(PR_SET_PDEATHSIG, SIGKILL) != 0)
		die("PR_SET_PDEATHSIG", strerror(errno));
	parent = getppid();
	if (parent != slurmstepd && parent != 0)
		die("slurmstepd", "it has ended");
}

static const char *base_name(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash == NULL ? path : slash + 1;
}

/* srun_put_launcher reports whether the command is hpc3-run, as srun left it. The variables alone
 * prove nothing: srun may have replaced its words afterwards, and a variable may come from
 * another step. */
static bool srun_put_launcher(spank_t spank, bool multi_prog, int argc, char **argv)
{
	char task[WORD], launcher[PATH_MAX];

	if (!job_variable(spank, V_TASK, task, sizeof task))
		return false;
	if (!job_variable(spank, V_LAUNCHER, launcher, sizeof launcher))
		snprintf(launcher, sizeof launcher, "%s", hpc3_conf.launcher);
	if (strcmp(base_name(launcher), base_name(hpc3_conf.launcher)) != 0)
		return false;
	if (multi_prog)
		return *task == '+' && argc > 1 && hpc3_multiprog_lacking(argv[1], launcher) == 0;
	return *task == '=' && strcmp(argv[0], launcher) == 0;
}

/* replace_command puts hpc3-run in place of the command. It is for Slurm before 23.11, where a
 * task shares the argv of the step: its words can be changed, and --multi-prog does not use it. */
static void replace_command(spank_t spank, bool multi_prog, char **argv)
{
	char *task = NULL;

	if (multi_prog)
		die("--multi-prog",
			"srun has not put hpc3-run before its commands, and a node cannot before Slurm 23.11");
	if (asprintf(&task, "=%s", argv[0]) < 0)
		die("changing the command", "out of memory");
	set_task(spank, task);
	free(task);
	argv[0] = strdup(hpc3_conf.launcher); /* not freed: execve follows */
	if (argv[0] == NULL)
		die("changing the command", "out of memory");
}

/* hpc3_step_user_init runs in slurmstepd, and does nothing for a step on the host. */
void hpc3_step_user_init(spank_t spank)
{
	char image[PATH_MAX * 2];
	uint32_t step = 0;

	if (spank_getenv(spank, V_IMAGE, image, sizeof image) != ESPANK_SUCCESS || *image == '\0' ||
		strcmp(image, NO_IMAGE) == 0)
		return;
	if (spank_get_item(spank, S_JOB_STEPID, &step) != ESPANK_SUCCESS || step == SLURM_EXTERN_CONT ||
		(step == SLURM_BATCH_SCRIPT && !hpc3_conf.batch_in_container))
		return;
	hpc3_sigill_watch();
}

/* hpc3_task_exit looks at a status, and at memory: see sigill.c. */
void hpc3_task_exit(spank_t spank)
{
	int status = 0;

	if (spank_get_item(spank, S_TASK_EXIT_STATUS, &status) == ESPANK_SUCCESS)
		hpc3_sigill_ended(status);
}

/* hpc3_task_init runs in the process of the task, as the user, before the task prolog and the
 * limits: what Slurm does after it applies to hpc3-run, and so to the command. A failure ends this
 * task only. */
int hpc3_task_init(spank_t spank, int ac, char **av)
{
	char image[PATH_MAX * 2], word[WORD];
	const char *before[] = {NULL};
	uint32_t step = 0;
	int argc = 0;
	char **argv = NULL;
	bool multi_prog;

	if (!job_variable(spank, V_IMAGE, image, sizeof image) || strcmp(image, NO_IMAGE) == 0)
		return 0;
	if (spank_get_item(spank, S_JOB_STEPID, &step) != ESPANK_SUCCESS || step == SLURM_EXTERN_CONT)
		return 0;
	if (hpc3_configure(ac, av) != 0)
		die("plugstack.conf", "it is wrong");
	if (step == SLURM_BATCH_SCRIPT && !hpc3_conf.batch_in_container)
		return 0;
	end_with_slurmstepd();
	hpc3_sigill_tell(spank);
	if (spank_get_item(spank, S_JOB_ARGV, &argc, &argv) != ESPANK_SUCCESS || argc < 1)
		die("reading the command", "Slurm does not show it");
	multi_prog = step != SLURM_BATCH_SCRIPT && job_variable(spank, V_MULTI_PROG, word, sizeof word);
	if (step != SLURM_BATCH_SCRIPT && srun_put_launcher(spank, multi_prog, argc, argv))
		return 0;
	if (access(hpc3_conf.launcher, X_OK) != 0)
		die(hpc3_conf.launcher, strerror(errno));
	if (spank_prepend_task_argv == NULL) {
		replace_command(spank, multi_prog, argv);
		return 0;
	}
	before[0] = hpc3_conf.launcher;
	set_task(spank, "+");
	if (spank_prepend_task_argv(spank, 1, before) != ESPANK_SUCCESS)
		die("changing the command", "Slurm refuses it");
	return 0;
}
