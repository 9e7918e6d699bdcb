/* In srun, sbatch and salloc: a mistake is said, and ends them. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "face.h"

static bool said;

/* hpc3_say prints a line of an error, for which the caller returns a failure. */
void hpc3_say(const char *format, ...)
{
	char *text = NULL;
	va_list words;

	va_start(words, format);
	if (vasprintf(&text, format, words) < 0)
		text = NULL;
	va_end(words);
	slurm_error("hpc3: %s", text == NULL ? "out of memory" : text);
	free(text);
	said = true;
}

/* hpc3_refuse ends srun, sbatch or salloc while it reads its options. If a hook or an option of a
 * plugin fails, these three print two lines that blame the plugin, and call exit(error_exit), in
 * every Slurm from 20.11 to 26.05; for a plugin that is "optional" they ignore the failure, and the
 * command would run on the host. So the same exit is called here. Any other program that loads
 * plugins, such as scrontab and scrun, gets the failure to deal with. */
int hpc3_refuse(void)
{
	static const char *const programs[] = {"sropt", "sbopt", "saopt"}; /* what each shows of its options */
	const int *status = dlsym(RTLD_DEFAULT, "error_exit");

	if (!said)
		hpc3_say("out of memory");
	for (size_t i = 0; i < sizeof programs / sizeof *programs; i++) {
		if (status != NULL && dlsym(RTLD_DEFAULT, programs[i]) != NULL)
			exit(*status);
	}
	hpc3_say(HPC3_WORKS);
	return -1;
}
