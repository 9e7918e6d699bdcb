/* Plays slurmd and slurmstepd, and prints the address of each function of the plugin that runs as
 * root in them. The plugin is compiled with -finstrument-functions, this file without. */
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <slurm/slurm.h>
#include <slurm/spank.h>

static spank_context_t context;
static struct spank_option *registered[64];
static int count, said;
static bool as_user; /* what runs now runs as the user */

void __cyg_profile_func_enter(void *function, void *caller);
void __cyg_profile_func_exit(void *function, void *caller);

void __cyg_profile_func_enter(void *function, void *caller)
{
	(void)caller;
	if (!as_user)
		printf("%p\n", function);
}

void __cyg_profile_func_exit(void *function, void *caller)
{
	(void)function;
	(void)caller;
}

void slurm_error(const char *format, ...)
{
	(void)format;
	said++;
}

void slurm_info(const char *format, ...)
{
	(void)format;
}

spank_context_t spank_context(void)
{
	return context;
}

spank_err_t spank_option_register(spank_t spank, struct spank_option *option)
{
	(void)spank;
	if (count == sizeof registered / sizeof *registered)
		exit(3);
	registered[count++] = option;
	return ESPANK_SUCCESS;
}

const char *spank_strerror(spank_err_t err)
{
	(void)err;
	return "";
}

/* As root nothing but the status of a task is asked for. */
spank_err_t spank_get_item(spank_t spank, spank_item_t item, ...)
{
	va_list where;

	(void)spank;
	va_start(where, item);
	if (item == S_TASK_EXIT_STATUS)
		*va_arg(where, int *) = SIGILL;
	else if (item == S_JOB_STEPID && as_user)
		*va_arg(where, uint32_t *) = 0;
	else
		exit(4);
	va_end(where);
	return ESPANK_SUCCESS;
}

/* What follows runs as the user. */
spank_err_t spank_getenv(spank_t spank, const char *name, char *value, int size)
{
	(void)spank;
	if (!as_user || strcmp(name, "SLURM_CONTAINER") != 0)
		exit(4);
	snprintf(value, (size_t)size, "image");
	return ESPANK_SUCCESS;
}

spank_err_t spank_setenv(spank_t spank, const char *name, const char *value, int overwrite)
{
	(void)spank;
	(void)name;
	(void)value;
	(void)overwrite;
	exit(4);
}

static int start(spank_context_t in, char *word)
{
	char *words[] = {word};

	context = in;
	return slurm_spank_init(NULL, 1, words);
}

int main(void)
{
	if (start(S_CTX_SLURMD, "launcher=/bin/hpc3-run") != 0 || count != 0)
		return 1;
	if (start(S_CTX_REMOTE, "not=known") != 0 || start(S_CTX_REMOTE, "launcher=/h") != 0)
		return 1; /* a failure would drain the node */
	if (count == 0)
		return 2;
	for (int i = 0; i < count; i++) {
		if (registered[i]->cb(registered[i]->val, "text", 1) != 0)
			return 1;
	}
	said = 0;
	if (slurm_spank_init_post_opt(NULL, 0, NULL) != 0 || slurm_spank_task_exit(NULL, 0, NULL) != 0)
		return 1;
	if (said != 0)
		return 6; /* this step has no image yet */
	as_user = true;
	if (slurm_spank_user_init(NULL, 0, NULL) != 0)
		return 1;
	as_user = false;
	for (int i = 0; i < 3; i++) {
		if (slurm_spank_task_exit(NULL, 0, NULL) != 0)
			return 1;
	}
	return said == 1 ? 0 : 5; /* once in a step */
}
