/* The options that srun, sbatch and salloc get. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "face.h"

enum { OPT_IMAGE, OPT_CONTAINER, OPT_NO_CONTAINER, OPT_FIRST };

static char *images[OPT_CONTAINER + 1]; /* that were given */
static bool no_container;

/* Options beside the image that were given, NAME=VALUE. */
static char **given;
static int givens;

/* The options beside the image: pyxis' names, and those of hpc3-run. An option without a value
 * is a switch. */
static const struct {
	const char *before, *after; /* of the prefix */
	const char *value;          /* as the help shows it */
	int has_arg;
	const char *ours, *without; /* without a value it means this */
	const char *usage;
} beside[] = {
	{"", "-mounts", "SRC[:DST[:OPTS]]", 1, "container-mounts", NULL, "[hpc3] bind files or directories; a list is joined by commas, OPTS by +"},
	{"", "-workdir", "DIR", 1, "container-workdir", NULL, "[hpc3] working directory in the container"},
	{"", "-env", "NAME[=VALUE]", 1, "container-env", NULL, "[hpc3] set a variable in the container, or pass the job's"},
	{"", "-env-file", "FILE", 1, "container-env-file", NULL, "[hpc3] set or pass the variables of a file, in docker's format"},
	{"", "-clean-env", NULL, 0, "container-clean-env", "true", "[hpc3] of the job's variables only those of a login and of the job"},
	{"no-", "-clean-env", NULL, 0, "no-container-clean-env", "true", "[hpc3] the job's variables are passed on (default)"},
	{"", "-entrypoint", "MODE", 2, "container-entrypoint", "image", "[hpc3] login (default), image or none; without MODE: image"},
	{"no-", "-entrypoint", NULL, 0, "container-entrypoint", "login", "[hpc3] a login shell, not the image's ENTRYPOINT"},
	{"", "-writable", NULL, 0, "container-writable", "true", "[hpc3] a throw-away writable layer"},
	{"", "-readonly", NULL, 0, "container-readonly", "true", "[hpc3] no writable layer (default)"},
	{"", "-mount-home", NULL, 0, "container-mount-home", "true", "[hpc3] bind the home directory (default)"},
	{"no-", "-mount-home", NULL, 0, "no-container-mount-home", "true", "[hpc3] do not bind the home directory"},
	{"", "-dotfiles", NULL, 0, "container-dotfiles", "true", "[hpc3] the login shell reads your own files (~/.bash_profile)"},
	{"no-", "-dotfiles", NULL, 0, "no-container-dotfiles", "true", "[hpc3] it reads the image's alone (default)"},
	{"no-", "-share", NULL, 0, "no-container-share", "true", "[hpc3] each task has a container of its own"},
};
#define BESIDE ((int)(sizeof beside / sizeof *beside))

/* Options of pyxis that are something else here, and are refused with that. They are registered
 * only under the default prefix: a site that loads pyxis as well gives ours another one, since
 * Slurm takes a name from one plugin alone. */
static const struct {
	const char *name, *value;
} others[] = {
	{"container-image", "IMAGE"},   {"container-name", "NAME"},        {"container-save", "FILE"},
	{"container-remap-root", NULL}, {"no-container-remap-root", NULL},
};
#define OTHERS ((int)(sizeof others / sizeof *others))

static char *other; /* NAME=VALUE of the first that was given */

static struct spank_option options[OPT_FIRST + BESIDE + OTHERS];

/* An empty image is refused when all options are known. */
static int image_given(int val, const char *arg)
{
	free(images[val]);
	images[val] = strdup(arg == NULL ? "" : arg);
	return images[val] == NULL ? -1 : 0;
}

static int beside_given(int n, const char *arg)
{
	char **more = realloc(given, (size_t)(givens + 1) * sizeof *given), *value;

	if (more == NULL)
		return -1;
	given = more;
	if (arg == NULL)
		arg = beside[n].without == NULL ? "" : beside[n].without;
	if (strcmp(beside[n].ours, "container-mounts") == 0)
		value = hpc3_absolute_mounts(arg);
	else if (strcmp(beside[n].ours, "container-env-file") == 0)
		value = hpc3_absolute_path(arg);
	else
		value = strdup(arg);
	if (value == NULL || asprintf(&given[givens], "%s=%s", beside[n].ours, value) < 0)
		return -1;
	free(value);
	givens++;
	return 0;
}

static int other_given(int n, const char *arg)
{
	if (other == NULL && asprintf(&other, "%s=%s", others[n].name, arg == NULL ? "" : arg) < 0)
		other = NULL;
	return other == NULL ? -1 : 0;
}

static int option_given(int val, const char *arg, int remote)
{
	if (remote)
		return 0; /* a node reads the job's variables */
	if (val == OPT_NO_CONTAINER) {
		no_container = true;
		return 0;
	}
	if (val < OPT_NO_CONTAINER)
		val = image_given(val, arg);
	else if (val < OPT_FIRST + BESIDE)
		val = beside_given(val - OPT_FIRST, arg);
	else
		val = other_given(val - OPT_FIRST - BESIDE, arg);
	return val == 0 ? 0 : hpc3_refuse();
}

/* --container is among ours only where Slurm has none. */
const char *hpc3_image_option(void)
{
	return images[OPT_IMAGE] != NULL ? images[OPT_IMAGE] : images[OPT_CONTAINER];
}

bool hpc3_no_container(void)
{
	return no_container;
}

const char *hpc3_other(void)
{
	return other;
}

int hpc3_given(void)
{
	return givens;
}

const char *hpc3_option(int n)
{
	return given[n];
}

/* Slurm has --container since 21.08: libslurm 37. */
bool hpc3_slurm_has_container(void)
{
	long (*version)(void) = (long (*)(void))dlsym(RTLD_DEFAULT, "slurm_api_version");

	return version == NULL || version() >> 16 >= 37;
}

static int register_option(spank_t spank, int n)
{
	spank_err_t err = spank_option_register(spank, &options[n]);

	if (err == ESPANK_SUCCESS)
		return 0;
	hpc3_say("the option --%s: %s", options[n].name, spank_strerror(err));
	hpc3_say("hint: if another plugin has it, write prefix=NAME behind spank_hpc3.so");
	return -1;
}

int hpc3_register_options(spank_t spank)
{
	static char names[BESIDE][64];
	static char image[] = "IMAGE", image_usage[] = "[hpc3] run the tasks in a container of IMAGE, e.g. qnib/gromacs:2021.5";
	static char host[] = "no-container", host_usage[] = "[hpc3] in a job with an image: run on the host, as --container=none";

	options[OPT_IMAGE] = (struct spank_option){"hpc3-image", image, image_usage, 1, OPT_IMAGE, option_given};
	options[OPT_CONTAINER] = (struct spank_option){"container", image, image_usage, 1, OPT_CONTAINER, option_given};
	options[OPT_NO_CONTAINER] = (struct spank_option){host, NULL, host_usage, 0, OPT_NO_CONTAINER, option_given};
	for (int i = 0; i < BESIDE; i++) {
		snprintf(names[i], sizeof names[i], "%s%s%s", beside[i].before, hpc3_conf.prefix, beside[i].after);
		options[OPT_FIRST + i] = (struct spank_option){
			names[i], (char *)beside[i].value, (char *)beside[i].usage, beside[i].has_arg, OPT_FIRST + i, option_given,
		};
	}
	for (int i = 0; strcmp(hpc3_conf.prefix, "container") == 0 && i < OTHERS; i++) {
		options[OPT_FIRST + BESIDE + i] = (struct spank_option){
			(char *)others[i].name,  (char *)others[i].value, "[hpc3] of pyxis: refused, with what it is here",
			others[i].value != NULL, OPT_FIRST + BESIDE + i,  option_given,
		};
	}
	for (int i = 0; i < OPT_FIRST + BESIDE + OTHERS && options[i].name != NULL; i++) {
		if (i == OPT_CONTAINER && hpc3_slurm_has_container())
			continue; /* it would only earn "Ignoring conflicting option" on every srun */
		if (register_option(spank, i) != 0)
			return -1;
	}
	return 0;
}

/* srun, sbatch and salloc show their options by the name opt, and libslurm functions for them. */
static void *slurms_options(void)
{
	return dlsym(RTLD_DEFAULT, "opt");
}

bool hpc3_slurm_option_set(const char *name)
{
	void *opt = slurms_options();
	bool (*is_set)(void *, const char *) = (bool (*)(void *, const char *))dlsym(RTLD_DEFAULT, "slurm_option_isset");

	return opt != NULL && is_set != NULL && is_set(opt, name);
}

char *hpc3_slurm_option(const char *name)
{
	void *opt = slurms_options();
	char *(*get)(void *, const char *) = (char *(*)(void *, const char *))dlsym(RTLD_DEFAULT, "slurm_option_get");

	return hpc3_slurm_option_set(name) && get != NULL ? get(opt, name) : NULL;
}

bool hpc3_slurm_forget(const char *name)
{
	void *opt = slurms_options();
	bool (*reset)(void *, const char *) = (bool (*)(void *, const char *))dlsym(RTLD_DEFAULT, "slurm_option_reset");

	return opt != NULL && reset != NULL && reset(opt, name);
}
