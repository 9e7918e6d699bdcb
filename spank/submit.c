/* In srun, sbatch and salloc, while they read options: which image a job or step has. The result
 * is a set of variables of the job. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "face.h"

/* Slurm before 21.08 reads it as the value of our --container. */
#define V_GIVEN "SLURM_SPANK__SLURM_SPANK_OPTION_hpc3_container"

static char *inherited; /* SLURM_CONTAINER at the start of this process */
static int components;  /* of a heterogeneous step, read so far */
static bool multi_prog; /* one of them has a command for each task */

int hpc3_step_components(void)
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
	if (hpc3_program() == HPC3_SBATCH)
		image = getenv("SBATCH_CONTAINER");
	else if (hpc3_program() == HPC3_SALLOC)
		image = getenv("SALLOC_CONTAINER");
	return image == NULL ? 0 : setenv(V_GIVEN, image, 1);
}

/* hpc3_submit_init runs before Slurm reads options. */
int hpc3_submit_init(spank_t spank, int ac, char **av)
{
	const char *image;

	if (hpc3_configure(ac, av) != 0 || hpc3_register_options(spank) != 0)
		return -1;
	/* Slurm sets the variable only if it is unset: the image of the job would hide that of
	 * the step. set_variables sets it again. */
	image = getenv(V_IMAGE);
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
		first_options = hpc3_option_count();
		return 0;
	}
	if (strcmp(first == NULL ? "" : first, image == NULL ? "" : image) != 0 ||
		first_options != hpc3_option_count()) {
		hpc3_say("the components of a step share one image and its options,");
		hpc3_say("and these have %s and %s", first == NULL ? "none" : first,
				 image == NULL ? "none" : image);
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

/* typed_image returns the image that was asked for here, not an inherited one; NULL for none. */
static const char *typed_image(void)
{
	const char *image = hpc3_image_option();

	if (image == NULL && hpc3_slurm_has_container())
		image = hpc3_slurm_option("container"); /* a site's cli_filter sets no variable */
	if (image == NULL && components == 0)
		image = getenv(V_IMAGE); /* the first component's */
	return image;
}

static bool is_true(const char *value)
{
	return value != NULL && (strcmp(value, "1") == 0 || strcasecmp(value, "true") == 0 ||
							 strcasecmp(value, "t") == 0 || strcasecmp(value, "yes") == 0 ||
							 strcasecmp(value, "on") == 0 || strcasecmp(value, "y") == 0);
}

/* from_variable reports whether the image comes from the environment, which an option overrides. */
static bool from_variable(const char *image)
{
	const char *variable =
		getenv(hpc3_program() == HPC3_SBATCH ? "SBATCH_CONTAINER" : "SALLOC_CONTAINER");

	return spank_context() == S_CTX_ALLOCATOR && variable != NULL && strcmp(variable, image) == 0;
}

/* wanted_image sets image, with absolute paths, and written, as the user wrote it; NULL for none.
 * It returns -1 for an error, which it has reported. */
static int wanted_image(char **image, const char **written)
{
	const char *typed = typed_image(), *wanted = typed;

	*image = NULL;
	if (hpc3_no_container() && typed != NULL && strcmp(typed, NO_IMAGE) != 0 &&
		!from_variable(typed)) {
		hpc3_say("both --no-container and the image %s are given", typed);
		hpc3_say("hint: leave one out; --container=none wins over a line of #SBATCH");
		return -1;
	}
	if (hpc3_no_container() || (typed == NULL && is_true(getenv("HPC3_NO_CONTAINER"))))
		wanted = NO_IMAGE;
	else if (typed == NULL)
		wanted = inherited;
	if (wanted == NULL)
		return 0;
	*written = wanted;
	*image = hpc3_absolute_image(wanted);
	return *image == NULL ? -1 : 0;
}

/* run_on_host removes the image from a job or step, and so from the steps in it. */
static int run_on_host(void)
{
	static const char *const variables[] = {V_IMAGE, V_OPTIONS, V_PIN, V_VERSION};

	if (hpc3_option_count() > 0) {
		hpc3_say("options of a container are given, and no container");
		hpc3_say("hint: leave out these options, or --container=none and --no-container");
		return -1;
	}
	for (size_t i = 0; i < sizeof variables / sizeof *variables; i++)
		unsetenv(variables[i]);
	if (hpc3_slurm_has_container())
		hpc3_slurm_reset_option("container");
	return 0;
}

/* run_in_container has the library check the request. */
static int run_in_container(const char *image, const char *written)
{
	if (*image == '\0') {
		hpc3_say("--container needs an image, such as qnib/gromacs:2021.5");
		return -1;
	}
	if (hpc3_absolute_variables(true) != 0 || hpc3_check_request(image, written, inherited) != 0 ||
		setenv(V_IMAGE, image, 1) != 0 || setenv(V_VERSION, HPC3_PROTOCOL " " HPC3_VERSION, 1) != 0)
		return -1;
	return multi_prog ? setenv(V_MULTI_PROG, "1", 1) : 0;
}

/* set_variables sets the variables of the job, once for all components. */
static int set_variables(const char *image, const char *written)
{
	static const char *const step_variables[] = {V_TASK, V_LAUNCHER, V_MULTI_PROG, V_BCAST};

	for (size_t i = 0; i < sizeof step_variables / sizeof *step_variables; i++)
		unsetenv(step_variables[i]);
	if (image != NULL && strcmp(image, NO_IMAGE) == 0)
		return run_on_host();
	if (image != NULL)
		return run_in_container(image, written);
	if (hpc3_option_count() > 0 && hpc3_calls_module()) {
		/* The image is the module's, and hpc3-run finds the options. */
		return setenv(V_VERSION, HPC3_PROTOCOL " " HPC3_VERSION, 1) != 0 ||
					   hpc3_check_request(NULL, NULL, NULL) != 0
				   ? -1
				   : hpc3_absolute_variables(true);
	}
	if (hpc3_option_count() > 0) {
		hpc3_say("options of a container are given, and no image");
		hpc3_say("hint: add --container=IMAGE");
		return -1;
	}
	return hpc3_absolute_variables(false);
}

/* hpc3_submit_post_opt runs when Slurm has read the options; once for each component. */
int hpc3_submit_post_opt(void)
{
	const char *written = NULL;
	char *image;
	int status;

	unsetenv(V_GIVEN); /* Slurm has read it */
	if (hpc3_pyxis_option() != NULL && hpc3_explain_pyxis_option(hpc3_pyxis_option()) != 0)
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
	/* With --container set, Slurm takes the step for a container of its own: since 24.11 its
	 * PMIx then has no directory and fails, and slurmd logs a missing oci.conf for each step. */
	if (spank_context() == S_CTX_LOCAL && hpc3_slurm_has_container())
		hpc3_slurm_reset_option("container");
	if (status == 0 && components == 1)
		status = set_variables(image, written);
	free(image);
	return status == 0 ? 0 : hpc3_refuse();
}
