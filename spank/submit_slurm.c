/* The program that this is part of, srun, sbatch or salloc: which one it is, its own options, the
 * words of its command line, and its end. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "face.h"

/* hpc3_program tells by the variable that each program exports for its options. */
enum hpc3_program hpc3_program(void)
{
	if (dlsym(RTLD_DEFAULT, "sropt") != NULL)
		return HPC3_SRUN;
	if (dlsym(RTLD_DEFAULT, "sbopt") != NULL)
		return HPC3_SBATCH;
	return dlsym(RTLD_DEFAULT, "saopt") != NULL ? HPC3_SALLOC : HPC3_OTHER_PROGRAM;
}

/* All three export their options as opt, and libslurm functions that read them. */
static void *slurm_options(void)
{
	return dlsym(RTLD_DEFAULT, "opt");
}

bool hpc3_slurm_option_set(const char *name)
{
	void *opt = slurm_options();
	bool (*is_set)(void *, const char *) =
		(bool (*)(void *, const char *))dlsym(RTLD_DEFAULT, "slurm_option_isset");

	return opt != NULL && is_set != NULL && is_set(opt, name);
}

char *hpc3_slurm_option(const char *name)
{
	void *opt = slurm_options();
	char *(*get)(void *, const char *) =
		(char *(*)(void *, const char *))dlsym(RTLD_DEFAULT, "slurm_option_get");

	return hpc3_slurm_option_set(name) && get != NULL ? get(opt, name) : NULL;
}

bool hpc3_slurm_reset_option(const char *name)
{
	void *opt = slurm_options();
	bool (*reset)(void *, const char *) =
		(bool (*)(void *, const char *))dlsym(RTLD_DEFAULT, "slurm_option_reset");

	return opt != NULL && reset != NULL && reset(opt, name);
}

char *hpc3_command_line(size_t *length)
{
	char *words = NULL, *larger;
	size_t room = 0;
	ssize_t n = 1;
	int fd = open("/proc/self/cmdline", O_RDONLY | O_CLOEXEC);

	*length = 0;
	while (fd >= 0 && n > 0) {
		if (*length == room) {
			room = 2 * room + 4096;
			larger = realloc(words, room);
			if (larger == NULL)
				break;
			words = larger;
		}
		n = read(fd, words + *length, room - *length);
		*length += n > 0 ? (size_t)n : 0;
	}
	if (fd >= 0)
		close(fd);
	if (*length == 0 || words[*length - 1] != '\0') { /* the end is missing */
		free(words);
		words = NULL;
	}
	return words;
}

/* hpc3_refuse ends the program while it reads its options. If a hook or an option of a plugin
 * fails, the three programs print two lines that blame the plugin, and call exit(error_exit), in
 * every Slurm from 20.11 to 26.05; for a plugin that is "optional" they ignore the failure, and the
 * command would run on the host. So the same exit is called here. Any other program that loads
 * plugins, such as scrontab and scrun, gets the failure. */
int hpc3_refuse(void)
{
	const int *status = dlsym(RTLD_DEFAULT, "error_exit");

	if (!hpc3_has_said())
		hpc3_say("out of memory");
	if (status != NULL && hpc3_program() != HPC3_OTHER_PROGRAM)
		exit(*status);
	hpc3_say(HPC3_WORKS);
	return -1;
}
