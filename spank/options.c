/* The options that the plugin adds to srun, sbatch and salloc, and which of them were given.
 *
 * slurmstepd registers them too, as root, since Slurm passes on the options that were given; their
 * values are ignored there. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "face.h"

enum { OPT_IMAGE, OPT_CONTAINER, OPT_NO_CONTAINER, OPT_FIRST };

/* What was given. */
static char *images[OPT_CONTAINER + 1];
static bool no_container;
static char **given; /* the options without the image, NAME=VALUE */
static int given_count;
static char *pyxis_option; /* NAME=VALUE of the first */

/* The options without the image: their names in Slurm, which are pyxis', and in hpc3-run. An
 * option without a value is a switch. */
static const struct {
	const char *before, *after; /* what stands before and after the prefix */
	const char *value;          /* as the help shows it */
	int has_arg;
	const char *ours, *without; /* the name in hpc3-run; the value if none is given */
	const char *usage;
} beside[] = {
	{"", "-mounts", "SRC[:DST[:OPTS]]", 1, "container-mounts", NULL,
	 "[hpc3] bind files or directories; a list is joined by commas, OPTS by +"},
	{"", "-workdir", "DIR", 1, "container-workdir", NULL,
	 "[hpc3] working directory in the container"},
	{"", "-env", "NAME[=VALUE]", 1, "container-env", NULL,
	 "[hpc3] set a variable in the container, or pass the job's"},
	{"", "-env-file", "FILE", 1, "container-env-file", NULL,
	 "[hpc3] set or pass the variables of a file, in docker's format"},
	{"", "-clean-env", NULL, 0, "container-clean-env", "true",
	 "[hpc3] of the job's variables only those of a login and of the job"},
	{"no-", "-clean-env", NULL, 0, "no-container-clean-env", "true",
	 "[hpc3] the job's variables are passed on (default)"},
	{"", "-entrypoint", "MODE", 2, "container-entrypoint", "image",
	 "[hpc3] login (default), image or none; without MODE: image"},
	{"no-", "-entrypoint", NULL, 0, "container-entrypoint", "login",
	 "[hpc3] a login shell, not the image's ENTRYPOINT"},
	{"", "-writable", NULL, 0, "container-writable", "true", "[hpc3] a throw-away writable layer"},
	{"", "-readonly", NULL, 0, "container-readonly", "true", "[hpc3] no writable layer (default)"},
	{"", "-mount-home", NULL, 0, "container-mount-home", "true",
	 "[hpc3] bind the home directory (default)"},
	{"no-", "-mount-home", NULL, 0, "no-container-mount-home", "true",
	 "[hpc3] do not bind the home directory"},
	{"", "-dotfiles", NULL, 0, "container-dotfiles", "true",
	 "[hpc3] the login shell reads your own files (~/.bash_profile)"},
	{"no-", "-dotfiles", NULL, 0, "no-container-dotfiles", "true",
	 "[hpc3] it reads the image's alone (default)"},
	{"no-", "-share", NULL, 0, "no-container-share", "true",
	 "[hpc3] each task has a container of its own"},
};
#define BESIDE ((int)(sizeof beside / sizeof *beside))

/* Options of pyxis that have another name here: they are refused with a hint to it. They are
 * registered only under the default prefix: a site that loads pyxis as well gives our options
 * another prefix, because Slurm accepts a name from one plugin only. */
static const struct {
	const char *name, *value;
} others[] = {
	{"container-image", "IMAGE"},   {"container-name", "NAME"},        {"container-save", "FILE"},
	{"container-remap-root", NULL}, {"no-container-remap-root", NULL},
};
#define OTHERS ((int)(sizeof others / sizeof *others))

static struct spank_option options[OPT_FIRST + BESIDE + OTHERS];

/* An empty image is refused later, when all options are known. */
static int image_given(int val, const char *arg)
{
	free(images[val]);
	images[val] = strdup(arg == NULL ? "" : arg);
	return images[val] == NULL ? -1 : 0;
}

static int beside_given(int n, const char *arg)
{
	char **more = realloc(given, (size_t)(given_count + 1) * sizeof *given), *value;

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
	if (value == NULL || asprintf(&given[given_count], "%s=%s", beside[n].ours, value) < 0)
		return -1;
	free(value);
	given_count++;
	return 0;
}

static int pyxis_given(int n, const char *arg)
{
	if (pyxis_option == NULL &&
		asprintf(&pyxis_option, "%s=%s", others[n].name, arg == NULL ? "" : arg) < 0)
		pyxis_option = NULL;
	return pyxis_option == NULL ? -1 : 0;
}

static int option_given(int val, const char *arg, int remote)
{
	if (remote)
		return 0; /* as root in slurmstepd: a node reads the job's variables */
	if (val == OPT_NO_CONTAINER) {
		no_container = true;
		return 0;
	}
	if (val < OPT_NO_CONTAINER)
		val = image_given(val, arg);
	else if (val < OPT_FIRST + BESIDE)
		val = beside_given(val - OPT_FIRST, arg);
	else
		val = pyxis_given(val - OPT_FIRST - BESIDE, arg);
	return val == 0 ? 0 : hpc3_refuse();
}

/* --container is an option of ours only if Slurm has none. */
const char *hpc3_image_option(void)
{
	return images[OPT_IMAGE] != NULL ? images[OPT_IMAGE] : images[OPT_CONTAINER];
}

bool hpc3_no_container(void)
{
	return no_container;
}

const char *hpc3_pyxis_option(void)
{
	return pyxis_option;
}

int hpc3_option_count(void)
{
	return given_count;
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

/* option fills in what Slurm declares without const, and does not change. */
static struct spank_option option(int n, const char *name, const char *value, int has_arg,
								  const char *usage)
{
	return (struct spank_option){(char *)name, (char *)value, (char *)usage, has_arg, n,
								 option_given};
}

static void fill_options(void)
{
	static const char run[] =
		"[hpc3] run the tasks in a container of IMAGE, e.g. qnib/gromacs:2021.5";
	static const char host[] =
		"[hpc3] in a job with an image: run on the host, as --container=none";
	static const char refused[] = "[hpc3] of pyxis: refused, with what it is here";
	static char names[BESIDE][64];
	int n = OPT_FIRST;

	options[OPT_IMAGE] = option(OPT_IMAGE, "hpc3-image", "IMAGE", 1, run);
	options[OPT_CONTAINER] = option(OPT_CONTAINER, "container", "IMAGE", 1, run);
	options[OPT_NO_CONTAINER] = option(OPT_NO_CONTAINER, "no-container", NULL, 0, host);
	for (int i = 0; i < BESIDE; i++, n++) {
		snprintf(names[i], sizeof names[i], "%s%s%s", beside[i].before, hpc3_conf.prefix,
				 beside[i].after);
		options[n] = option(n, names[i], beside[i].value, beside[i].has_arg, beside[i].usage);
	}
	for (int i = 0; strcmp(hpc3_conf.prefix, "container") == 0 && i < OTHERS; i++, n++)
		options[n] = option(n, others[i].name, others[i].value, others[i].value != NULL, refused);
}

/* hpc3_register_options runs as root in slurmstepd: it fills a table and hands it to Slurm. */
int hpc3_register_options(spank_t spank)
{
	fill_options();
	for (int i = 0; i < OPT_FIRST + BESIDE + OTHERS && options[i].name != NULL; i++) {
		if (i == OPT_CONTAINER && hpc3_slurm_has_container())
			continue; /* it would only earn "Ignoring conflicting option" on every srun */
		if (register_option(spank, i) != 0)
			return -1;
	}
	return 0;
}
