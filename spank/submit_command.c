/* In srun, before the tasks start: hpc3-run takes the place of the command.
 *
 * A node that lacks this plugin then runs the step in its container too, or fails because
 * hpc3-run is missing. It never runs the command on the host.
 *
 * srun resolves, replaces and frees words of its argv before and after this hook
 * (LaunchParameters=test_exec, SLURM_TEST_EXEC, --bcast). For that reason the words put there
 * are allocated by Slurm, --bcast is completed here, and a node checks its argv again (task.c). */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "face.h"

/* slurm_copy returns a copy of a word that Slurm may free. */
static char *slurm_copy(const char *word)
{
	char *(*copy)(const char *) = (char *(*)(const char *))dlsym(RTLD_DEFAULT, "slurm_xstrdup");

	if (copy == NULL)
		hpc3_say("this srun lacks slurm_xstrdup, so that its command cannot be changed");
	return copy == NULL || word == NULL ? NULL : copy(word);
}

/* typed_command returns the command as the user typed it. With test_exec srun has replaced it by
 * the path that it found on this machine, but the image has its own PATH. The result is not freed:
 * this runs once. */
static const char *typed_command(int argc, char **argv)
{
	size_t length, suffix, resolved = strlen(argv[0]);
	char *words = hpc3_command_line(&length);
	const char *word = words == NULL ? NULL : words + length;

	for (; argc > 0 && word != NULL; argc--) {
		const char *before =
			word == words ? NULL : memrchr(words, '\0', (size_t)(word - 1 - words));

		word = word == words ? NULL : before == NULL ? words : before + 1;
	}
	suffix = word == NULL ? 0 : strlen(word);
	if (suffix == 0 || *word == '/' || suffix >= resolved ||
		argv[0][resolved - suffix - 1] != '/' || strcmp(argv[0] + resolved - suffix, word) != 0)
		return argv[0];
	return word;
}

/* take_bcast returns the path of the file that --bcast has copied to the nodes, and resets the
 * option. Since 24.11 srun writes that path to argv[0] after this hook if the option is still
 * set; before, argv[0] holds it already. It returns NULL on failure. */
static const char *take_bcast(char **argv)
{
	const char *path = hpc3_slurm_option("bcast");

	if (path == NULL || *path != '/')
		path = argv[0];
	if (*path != '/' || !hpc3_slurm_reset_option("bcast") || setenv(V_BCAST, "1", 1) != 0) {
		hpc3_say("--bcast does not go with a container in this Slurm");
		hpc3_say("hint: copy the program with sbcast, or put it into a shared directory");
		return NULL;
	}
	return path;
}

/* put_launcher sets argv[n] to word, and the variables by which the nodes know. */
static int put_launcher(char **argv, int n, const char *word, const char *task)
{
	char *copy = slurm_copy(word);

	if (copy == NULL || task == NULL || setenv(V_TASK, task, 1) != 0 ||
		setenv(V_LAUNCHER, hpc3_conf.launcher, 1) != 0) {
		hpc3_say("putting hpc3-run before the command: out of memory");
		return -1;
	}
	argv[n] = copy;
	return 0;
}

/* replace_command puts hpc3-run in place of the command of a step. */
static int replace_command(int argc, char **argv)
{
	const char *command =
		hpc3_slurm_option_set("bcast") ? take_bcast(argv) : typed_command(argc, argv);
	char *task = NULL;
	int status;

	if (command == NULL)
		return -1;
	if (asprintf(&task, "=%s", command) < 0)
		task = NULL;
	status = put_launcher(argv, 0, hpc3_conf.launcher, task);
	free(task);
	return status;
}

/* insert_before_commands puts hpc3-run before each command of --multi-prog: argv[1] is the text of
 * its file. */
static int insert_before_commands(char **argv)
{
	char *text = hpc3_multiprog_insert(argv[1], hpc3_conf.launcher);
	int status = text == NULL ? -1 : put_launcher(argv, 1, text, "+");

	free(text);
	return status;
}

/* change_commands puts hpc3-run into the command or commands of a step. */
static int change_commands(spank_t spank)
{
	int argc = 0;
	char **argv = NULL;

	if (spank_get_item(spank, S_JOB_ARGV, &argc, &argv) != ESPANK_SUCCESS || argc < 1) {
		hpc3_say("srun does not show its command");
		return -1;
	}
	if (getenv(V_MULTI_PROG) == NULL)
		return replace_command(argc, argv);
	return argc < 2 ? -1 : insert_before_commands(argv);
}

/* hpc3_submit_command leaves the commands of a heterogeneous step to the nodes, since Slurm shows
 * only its first component here. On failure srun must end by itself: the allocation of the step
 * exists by now. */
int hpc3_submit_command(spank_t spank)
{
	if (getenv(V_IMAGE) == NULL || hpc3_step_components() > 1 || change_commands(spank) == 0)
		return 0;
	hpc3_say(HPC3_WORKS);
	return -1;
}
