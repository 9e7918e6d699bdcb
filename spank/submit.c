/* In srun, sbatch and salloc, while they read options: which image a job or step has. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "face.h"

/* What Slurm before 21.08 takes for our --container. */
#define V_GIVEN "SLURM_SPANK__SLURM_SPANK_OPTION_hpc3_container"

static char *inherited; /* SLURM_CONTAINER as it was found */
static int components;  /* of a heterogeneous step */
static bool multi_prog; /* one of them has a command for each task */

int hpc3_components(void)
{
	return components;
}

/* forget_options removes the variables in which Slurm keeps the options of a job. Slurm would
 * apply them to every srun, sbatch and salloc in the job as if they had been typed; ours are in
 * a variable of their own, for steps only. */
static void forget_options(void)
{
	static const char kept[] = "_SLURM_SPANK_OPTION_hpc3_";

	for (char **e = environ; *e != NULL;) {
		const char *end = strchr(*e, '=');
		const char *found = strstr(*e, kept);
		char name[256];

		if (end == NULL || found == NULL || found > end || (size_t)(end - *e) >= sizeof name) {
			e++;
			continue;
		}
		memcpy(name, *e, (size_t)(end - *e));
		name[end - *e] = '\0';
		unsetenv(name);
		e = environ; /* it has moved */
	}
}

/* container_variable reads SBATCH_CONTAINER and SALLOC_CONTAINER if Slurm has no --container. It
 * copies them to the variable that Slurm reads for an option of a plugin, which happens after
 * #SBATCH lines and before the command line. */
static int container_variable(void)
{
	const char *image = NULL;

	if (hpc3_slurm_has_container())
		return 0;
	if (dlsym(RTLD_DEFAULT, "sbopt") != NULL)
		image = getenv("SBATCH_CONTAINER");
	else if (dlsym(RTLD_DEFAULT, "saopt") != NULL)
		image = getenv("SALLOC_CONTAINER");
	return image == NULL ? 0 : setenv(V_GIVEN, image, 1);
}

int hpc3_before_options(void)
{
	/* Slurm sets the variable only if it is unset: the image of the job would hide that of
	 * the step. settle sets it again. */
	const char *image = getenv(V_IMAGE);

	if (image != NULL && (inherited = strdup(image)) == NULL)
		return -1;
	unsetenv(V_IMAGE);
	forget_options();
	return container_variable();
}

/* All components of "srun A : B" are submitted by one process with one environment. */
static int next_component(const char *image)
{
	static char *first;
	static int first_options;

	multi_prog |= hpc3_slurm_option_set("multi-prog");
	if (components++ == 0) {
		first = image == NULL ? NULL : strdup(image);
		first_options = hpc3_given();
		return 0;
	}
	if (strcmp(first == NULL ? "" : first, image == NULL ? "" : image) != 0 || first_options != hpc3_given()) {
		hpc3_say("the components of a step share one image and its options,");
		hpc3_say("and these have %s and %s", first == NULL ? "none" : first, image == NULL ? "none" : image);
		hpc3_say("hint: start them as separate steps");
		return -1;
	}
	if (image != NULL && hpc3_slurm_option_set("bcast")) {
		hpc3_say("--bcast: components of a step cannot have it with a container");
		hpc3_say("hint: start them as separate steps");
		return -1;
	}
	if (image != NULL && multi_prog && spank_prepend_task_argv == NULL) {
		hpc3_say("--multi-prog: components with a container need Slurm 23.11 or later");
		hpc3_say("hint: start them as separate steps");
		return -1;
	}
	return 0;
}

/* typed_image returns the image that was asked for here, not inherited; NULL for none. */
static const char *typed_image(void)
{
	const char *image = hpc3_image_option();

	if (image == NULL && hpc3_slurm_has_container())
		image = hpc3_slurm_option("container"); /* a site's cli_filter sets no variable */
	if (image == NULL && components == 0)
		image = getenv(V_IMAGE); /* of the first component */
	return image;
}

static bool yes(const char *value)
{
	return value != NULL && (strcmp(value, "1") == 0 || strcasecmp(value, "true") == 0 || strcasecmp(value, "t") == 0 ||
				 strcasecmp(value, "yes") == 0 || strcasecmp(value, "on") == 0 || strcasecmp(value, "y") == 0);
}

/* by_variable tells whether the image comes from the environment, which an option overrides. */
static bool by_variable(const char *image)
{
	const char *variable = getenv(dlsym(RTLD_DEFAULT, "sbopt") != NULL ? "SBATCH_CONTAINER" : "SALLOC_CONTAINER");

	return spank_context() == S_CTX_ALLOCATOR && variable != NULL && strcmp(variable, image) == 0;
}

/* wanted_image sets image, with absolute paths, and written, without them; NULL for none. It
 * returns -1 for a mistake, which it has reported. */
static int wanted_image(char **image, const char **written)
{
	const char *typed = typed_image(), *found = typed;

	*image = NULL;
	if (hpc3_no_container() && typed != NULL && strcmp(typed, NO_IMAGE) != 0 && !by_variable(typed)) {
		hpc3_say("both --no-container and the image %s are given", typed);
		hpc3_say("hint: leave one out; --container=none wins over a line of #SBATCH");
		return -1;
	}
	if (hpc3_no_container() || (typed == NULL && yes(getenv("HPC3_NO_CONTAINER"))))
		found = NO_IMAGE;
	else if (typed == NULL)
		found = inherited;
	if (found == NULL)
		return 0;
	*written = found;
	*image = hpc3_absolute_image(found);
	return *image == NULL ? -1 : 0;
}

/* on_the_host removes the image from a job or step, and from what is started in it. */
static int on_the_host(void)
{
	static const char *const variables[] = {V_IMAGE, V_OPTIONS, V_PIN, V_VERSION};

	if (hpc3_given() > 0) {
		hpc3_say("options of a container are given, and no container");
		hpc3_say("hint: leave out them, or --container=none and --no-container");
		return -1;
	}
	for (size_t i = 0; i < sizeof variables / sizeof *variables; i++)
		unsetenv(variables[i]);
	if (hpc3_slurm_has_container())
		hpc3_slurm_forget("container");
	return 0;
}

/* in_a_container has the library look at what was asked for. */
static int in_a_container(const char *image, const char *written)
{
	if (*image == '\0') {
		hpc3_say("--container needs an image, such as qnib/gromacs:2021.5");
		return -1;
	}
	if (hpc3_absolute_variables(true) != 0 || hpc3_ask(image, written, inherited) != 0 || setenv(V_IMAGE, image, 1) != 0 ||
	    setenv(V_VERSION, HPC3_PROTOCOL " " HPC3_VERSION, 1) != 0)
		return -1;
	return multi_prog ? setenv(V_MULTI_PROG, "1", 1) : 0;
}

/* settle sets the job's variables, once for all components. */
static int settle(const char *image, const char *written)
{
	static const char *const of_a_step[] = {V_TASK, V_LAUNCHER, V_MULTI_PROG, V_BCAST};

	for (size_t i = 0; i < sizeof of_a_step / sizeof *of_a_step; i++)
		unsetenv(of_a_step[i]);
	if (image != NULL && strcmp(image, NO_IMAGE) == 0)
		return on_the_host();
	if (image != NULL)
		return in_a_container(image, written);
	if (hpc3_given() > 0) {
		hpc3_say("options of a container are given, and no image");
		hpc3_say("hint: add --container=IMAGE");
		return -1;
	}
	return hpc3_absolute_variables(false);
}

int slurm_spank_init_post_opt(spank_t spank, int ac, char **av)
{
	const char *written = NULL;
	char *image;
	int status;

	(void)spank;
	(void)ac;
	(void)av;
	if (!hpc3_submits())
		return 0;
	unsetenv(V_GIVEN); /* it has been read */
	if (hpc3_other() != NULL && hpc3_ask_other(hpc3_other()) != 0)
		return hpc3_refuse();
	if (spank_context() == S_CTX_ALLOCATOR) {
		/* A job that is submitted in another job does not inherit its image. */
		unsetenv(V_OPTIONS);
		unsetenv(V_PIN);
		unsetenv(V_VERSION);
		free(inherited);
		inherited = NULL;
	}
	if (wanted_image(&image, &written) != 0)
		return hpc3_refuse();
	status = next_component(image);
	/* With --container set, Slurm takes the step for one of its own containers: since 24.11
	 * its PMIx has no directory then and fails, and slurmd logs a missing oci.conf for every
	 * step. */
	if (spank_context() == S_CTX_LOCAL && hpc3_slurm_has_container())
		hpc3_slurm_forget("container");
	if (status == 0 && components == 1)
		status = settle(image, written);
	free(image);
	return status == 0 ? 0 : hpc3_refuse();
}
