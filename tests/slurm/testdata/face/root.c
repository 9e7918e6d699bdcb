/* Plays slurmd and slurmstepd, and prints the address of each function of the plugin that runs as
 * root in them. The plugin is compiled with -finstrument-functions, this file without. */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <slurm/slurm.h>
#include <slurm/spank.h>

static spank_context_t context;
static struct spank_option *registered[64];
static int count;

void __cyg_profile_func_enter(void *function, void *caller);
void __cyg_profile_func_exit(void *function, void *caller);

void __cyg_profile_func_enter(void *function, void *caller)
{
	(void)caller;
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

/* What follows runs as the user. */
spank_err_t spank_get_item(spank_t spank, spank_item_t item, ...)
{
	(void)spank;
	(void)item;
	exit(4);
}

spank_err_t spank_getenv(spank_t spank, const char *name, char *value, int size)
{
	(void)spank;
	(void)name;
	(void)value;
	(void)size;
	exit(4);
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
	return slurm_spank_init_post_opt(NULL, 0, NULL);
}
