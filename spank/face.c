/* spank_hpc3.so: the face that hpc3 shows to Slurm.
 *
 * Slurm loads it into srun, sbatch, salloc, slurmd and slurmstepd. There is no Go in it, no thread, and no work: slurmd and slurmstepd fork, and
 * what runs in slurmstepd runs as root. What has to be thought about is thought about by libhpc3spank.so, which is loaded only into srun, sbatch and
 * salloc, and only where a container is asked for; what has to be done is done by hpc3-run, which takes the place of a task's command.
 *
 * The ways of an image: Slurm's own --container (21.08 and later) puts it into SLURM_CONTAINER, and so do --hpc3-image and, for an older Slurm,
 * --container here. It survives --export=NONE and reaches steps inside of a job. What else is asked for travels in variables that begin with
 * SLURM_HPC3_ for the same reason; their content is between the library and hpc3-run.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <limits.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/types.h>
#include <unistd.h>

#include <slurm/slurm.h>
#include <slurm/spank.h>

#ifdef HPC3_ANY_VERSION
#include "anyversion.h"
#else
SPANK_PLUGIN(hpc3, 1)
#endif

#define DEFAULT_LAUNCHER "/usr/local/bin/hpc3-run"
#define LIBRARY          "libhpc3spank.so"

/* Variables of a job. */
#define V_IMAGE      "SLURM_CONTAINER"
#define V_TASK       "SLURM_HPC3_TASK"       /* "=WORD": the command was WORD before hpc3-run took its place; "+": it follows hpc3-run */
#define V_MULTI_PROG "SLURM_HPC3_MULTI_PROG" /* the step has a command for each task */

/* What Slurm before 21.08 takes for our --container. */
#define V_GIVEN "SLURM_SPANK__SLURM_SPANK_OPTION_hpc3_container"

/* Of the library. */
#define V_OPTIONS "SLURM_HPC3_OPTIONS"
#define V_PIN     "SLURM_HPC3_PIN"

/* From 23.11 on. */
extern spank_err_t spank_prepend_task_argv(spank_t spank, int argc, const char *argv[]) __attribute__((weak));

/* What the library has to be told, and what it answers: words with a NUL behind each. The answer is to be freed. */
typedef char *(*submit_fn)(const char *request, size_t length, size_t *answer_length);

static struct {
	const char *launcher;
	const char *library; /* NULL: beside this file */
	const char *prefix;
	bool batch_in_container;
} conf = {DEFAULT_LAUNCHER, NULL, "container", false};

/* Words for the library. */
static struct {
	char *words;
	size_t length;
	int options; /* how many of them are options */
} request;

static char *inherited;  /* SLURM_CONTAINER as srun found it */
static int components;   /* of a heterogeneous step */
static pid_t slurmstepd; /* the parent of the tasks */

/* die ends a task that must not run on the host. */
static void die(const char *what, const char *why)
{
	slurm_error("hpc3: %s: %s", what, why);
	_exit(126);
}

static int add_word(const char *a, const char *b, const char *c)
{
	size_t n = strlen(a) + strlen(b) + strlen(c) + 1;
	char *words = realloc(request.words, request.length + n);

	if (words == NULL)
		return -1;
	request.words = words;
	stpcpy(stpcpy(stpcpy(words + request.length, a), b), c);
	request.length += n;
	return 0;
}

/* Options. They are read in srun, sbatch and salloc only. */

enum { OPT_IMAGE, OPT_CONTAINER, OPT_FIRST };

static char *images[OPT_FIRST]; /* that were given */

/* The options beside the image, under the names that pyxis has, and what hpc3-run calls them. An option without a value is a switch. */
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
	{"", "-entrypoint", "MODE", 2, "container-entrypoint", "image", "[hpc3] login (default), image or none; without MODE: image"},
	{"no-", "-entrypoint", NULL, 0, "container-entrypoint", "login", "[hpc3] a login shell, not the image's ENTRYPOINT"},
	{"", "-writable", NULL, 0, "container-writable", "true", "[hpc3] a throw-away writable layer"},
	{"", "-readonly", NULL, 0, "container-readonly", "true", "[hpc3] no writable layer (default)"},
	{"", "-mount-home", NULL, 0, "container-mount-home", "true", "[hpc3] bind the home directory (default)"},
	{"no-", "-mount-home", NULL, 0, "no-container-mount-home", "true", "[hpc3] do not bind the home directory"},
	{"no-", "-share", NULL, 0, "no-container-share", "true", "[hpc3] each task has a container of its own"},
};
#define BESIDE ((int)(sizeof beside / sizeof *beside))

static struct spank_option options[OPT_FIRST + BESIDE];

static int option_given(int val, const char *arg, int remote)
{
	if (remote)
		return 0;
	if (val < OPT_FIRST) {
		if (arg == NULL || *arg == '\0') {
			slurm_error("hpc3: --%s needs an image, for instance qnib/gromacs:2021.5", options[val].name);
			return -1;
		}
		free(images[val]);
		images[val] = strdup(arg);
		return images[val] == NULL ? -1 : 0;
	}
	if (arg == NULL)
		arg = beside[val - OPT_FIRST].without;
	if (add_word("option=", beside[val - OPT_FIRST].ours, "=") != 0)
		return -1;
	request.length--; /* the value belongs to the same word */
	request.options++;
	return add_word(arg == NULL ? "" : arg, "", "");
}

/* image_option is the image by our own options. --container is among them only where Slurm has none. */
static const char *image_option(void)
{
	return images[OPT_IMAGE] != NULL ? images[OPT_IMAGE] : images[OPT_CONTAINER];
}

/* has_container tells whether Slurm has --container itself: libslurm 37 is 21.08. */
static bool has_container(void)
{
	long (*version)(void) = (long (*)(void))dlsym(RTLD_DEFAULT, "slurm_api_version");

	return version == NULL || version() >> 16 >= 37;
}

static int register_option(spank_t spank, int n)
{
	spank_err_t err = spank_option_register(spank, &options[n]);

	if (err == ESPANK_SUCCESS)
		return 0;
	slurm_error("hpc3: the option --%s: %s; another plugin may have it: set prefix=NAME behind spank_hpc3.so in plugstack.conf", options[n].name,
		    spank_strerror(err));
	return -1;
}

static int register_options(spank_t spank)
{
	static char names[BESIDE][64];
	static char image[] = "IMAGE", image_usage[] = "[hpc3] run the tasks in a container of IMAGE, e.g. qnib/gromacs:2021.5";

	options[OPT_IMAGE] = (struct spank_option){"hpc3-image", image, image_usage, 1, OPT_IMAGE, option_given};
	options[OPT_CONTAINER] = (struct spank_option){"container", image, image_usage, 1, OPT_CONTAINER, option_given};
	for (int i = 0; i < BESIDE; i++) {
		snprintf(names[i], sizeof names[i], "%s%s%s", beside[i].before, conf.prefix, beside[i].after);
		options[OPT_FIRST + i] = (struct spank_option){
			names[i], (char *)beside[i].value, (char *)beside[i].usage, beside[i].has_arg, OPT_FIRST + i, option_given,
		};
	}
	for (int i = 0; i < OPT_FIRST + BESIDE; i++) {
		if (i == OPT_CONTAINER && has_container())
			continue; /* it would only earn "Ignoring conflicting option" on every srun */
		if (register_option(spank, i) != 0)
			return -1;
	}
	return 0;
}

/* The words behind spank_hpc3.so in plugstack.conf. */
static int configure(int ac, char **av)
{
	for (int i = 0; i < ac; i++) {
		const char *value = strchr(av[i], '=');

		value = value == NULL ? "" : value + 1;
		if (strncmp(av[i], "launcher=/", 10) == 0) {
			conf.launcher = value;
		} else if (strncmp(av[i], "library=/", 9) == 0) {
			conf.library = value;
		} else if (strncmp(av[i], "prefix=", 7) == 0 && *value != '\0' && strlen(value) < 32) {
			conf.prefix = value;
		} else if (strcmp(av[i], "batch=container") == 0 || strcmp(av[i], "batch=host") == 0) {
			conf.batch_in_container = strcmp(value, "container") == 0;
		} else {
			slurm_error("hpc3: plugstack.conf: %s: known are launcher=/PATH library=/PATH prefix=NAME batch=host|container", av[i]);
			return -1;
		}
	}
	return 0;
}

static bool submits(void)
{
	return spank_context() == S_CTX_LOCAL || spank_context() == S_CTX_ALLOCATOR;
}

/* forget_options takes away what Slurm itself keeps of a job's options in its environment. It would give them to every srun, sbatch and salloc inside
 * of the job as if they had been typed; ours do that in a variable of their own, for steps alone. */
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

/* container_variable is what reads SBATCH_CONTAINER and SALLOC_CONTAINER where Slurm has no --container. It hands them on as what Slurm reads for a
 * plugin's option, in the right moment: after "#SBATCH" and before the command line. */
static int container_variable(void)
{
	const char *image = NULL;

	if (has_container())
		return 0;
	if (dlsym(RTLD_DEFAULT, "sbopt") != NULL)
		image = getenv("SBATCH_CONTAINER");
	else if (dlsym(RTLD_DEFAULT, "saopt") != NULL)
		image = getenv("SALLOC_CONTAINER");
	return image == NULL ? 0 : setenv(V_GIVEN, image, 1);
}

int slurm_spank_init(spank_t spank, int ac, char **av)
{
	spank_context_t context = spank_context();

	if (context == S_CTX_SLURMD || context == S_CTX_JOB_SCRIPT)
		return 0;
	slurmstepd = getpid();
	/* On a node a failure here would drain it: a task says it itself, see slurm_spank_task_init. */
	if (configure(ac, av) != 0 && submits())
		return -1;
	if (register_options(spank) != 0 && submits())
		return -1;
	if (submits()) {
		/* They set the variable by --container only where it is not set, so a step's image would be hidden by the job's. It is put back
		 * below. */
		const char *image = getenv(V_IMAGE);

		if (image != NULL && (inherited = strdup(image)) == NULL)
			return -1;
		unsetenv(V_IMAGE);
		forget_options();
		return container_variable();
	}
	return 0;
}

/* The library. */

static submit_fn load(void)
{
	char path[PATH_MAX];
	Dl_info here;
	const char *slash;
	void *library;
	submit_fn submit;

	if (conf.library != NULL) {
		snprintf(path, sizeof path, "%s", conf.library);
	} else if (dladdr(&conf, &here) != 0 && (slash = strrchr(here.dli_fname, '/')) != NULL) {
		snprintf(path, sizeof path, "%.*s/%s", (int)(slash - here.dli_fname), here.dli_fname, LIBRARY);
	} else {
		snprintf(path, sizeof path, "%s", LIBRARY);
	}
	library = dlopen(path, RTLD_NOW | RTLD_LOCAL);
	if (library == NULL) {
		slurm_error("hpc3: %s", dlerror());
		return NULL;
	}
	submit = (submit_fn)dlsym(library, "hpc3_submit");
	if (submit == NULL)
		slurm_error("hpc3: %s", dlerror());
	return submit;
}

/* obey does what the library answers. */
static int obey(const char *answer, size_t length)
{
	int status = 0;

	for (const char *word = answer; word < answer + length; word += strlen(word) + 1) {
		const char *text = strchr(word, ' ');
		char *name, *value;

		if (text == NULL)
			return -1;
		text++;
		if (strncmp(word, "set ", 4) == 0 && (name = strdup(text)) != NULL && (value = strchr(name, '=')) != NULL) {
			*value++ = '\0';
			if (setenv(name, value, 1) != 0)
				status = -1;
			free(name);
		} else if (strncmp(word, "unset ", 6) == 0) {
			unsetenv(text);
		} else if (strncmp(word, "note ", 5) == 0) {
			slurm_info("hpc3: %s", text);
		} else {
			slurm_error("hpc3: %s", text);
			status = -1;
		}
	}
	return status;
}

/* ask has the library look at what was asked for, with the limits put back that Go changes for itself: they are the job's. */
static int ask(const char *image)
{
	struct rlimit files;
	submit_fn submit;
	char *answer = NULL;
	size_t length = 0;
	int status;

	if (add_word("image=", image, "") != 0)
		return -1;
	if (inherited != NULL && add_word("inherited=", inherited, "") != 0)
		return -1;
	for (char **e = environ; *e != NULL; e++) {
		if (add_word("env=", *e, "") != 0)
			return -1;
	}
	if (getrlimit(RLIMIT_NOFILE, &files) != 0)
		return -1;
	submit = load();
	if (submit != NULL)
		answer = submit(request.words, request.length, &length);
	setrlimit(RLIMIT_NOFILE, &files);
	if (answer == NULL)
		return -1;
	status = obey(answer, length);
	free(answer);
	return status;
}

/* srun shows its options, and functions for them, by these names. */
static void *srun_options(void)
{
	return dlsym(RTLD_DEFAULT, "opt");
}

static bool srun_option_set(const char *name)
{
	void *opt = srun_options();
	bool (*is_set)(void *, const char *) = (bool (*)(void *, const char *))dlsym(RTLD_DEFAULT, "slurm_option_isset");

	return opt != NULL && is_set != NULL && is_set(opt, name);
}

static char *srun_option(const char *name)
{
	void *opt = srun_options();
	char *(*get)(void *, const char *) = (char *(*)(void *, const char *))dlsym(RTLD_DEFAULT, "slurm_option_get");

	return srun_option_set(name) && get != NULL ? get(opt, name) : NULL; /* Slurm's own allocation, kept */
}

/* take_back_container has srun forget --container once we know it. Slurm would take the step for one of its own containers: since 24.11 its PMIx has
 * no directory then and fails, and slurmd notes the want of oci.conf for every step. */
static void take_back_container(void)
{
	void *opt = srun_options();
	bool (*reset)(void *, const char *) = (bool (*)(void *, const char *))dlsym(RTLD_DEFAULT, "slurm_option_reset");

	if (spank_context() == S_CTX_LOCAL && has_container() && opt != NULL && reset != NULL)
		reset(opt, "container");
}

/* All components of "srun A : B" are submitted by one process with one environment. */
static int next_component(const char *image)
{
	static char *first;
	static int first_options;
	const char *mine = image_option();

	if (components++ == 0) {
		first = image == NULL ? NULL : strdup(image);
		first_options = request.options;
		return 0;
	}
	if (mine == NULL && has_container())
		mine = srun_option("container");
	if (mine == NULL)
		mine = inherited;
	if (strcmp(first == NULL ? "" : first, mine == NULL ? "" : mine) == 0 && first_options == request.options)
		return 0;
	slurm_error("hpc3: the components of a heterogeneous step share one image and its options, here %s and %s: start them as separate steps",
		    first == NULL ? "none" : first, mine == NULL ? "none" : mine);
	return -1;
}

int slurm_spank_init_post_opt(spank_t spank, int ac, char **av)
{
	const char *image;
	bool multi_prog;

	(void)spank;
	(void)ac;
	(void)av;
	if (!submits())
		return 0;
	unsetenv(V_GIVEN); /* it has been read */
	image = image_option();
	if (image == NULL)
		image = getenv(V_IMAGE);
	if (spank_context() == S_CTX_ALLOCATOR) {
		/* A job that is submitted from inside of another is not of the other's image, unless it says so. */
		unsetenv(V_OPTIONS);
		unsetenv(V_PIN);
		free(inherited);
		inherited = NULL;
	}
	if (image == NULL)
		image = inherited;
	if (next_component(image) != 0)
		return -1;
	take_back_container();
	if (components > 1)
		return 0;
	unsetenv(V_TASK);
	unsetenv(V_MULTI_PROG);
	if (image == NULL && request.options == 0)
		return 0;
	if (image == NULL) {
		slurm_error("hpc3: options of a container are given, and no image: add --container=IMAGE");
		return -1;
	}
	if (*image == '\0') {
		slurm_error("hpc3: --container needs an image, for instance qnib/gromacs:2021.5");
		return -1;
	}
	multi_prog = srun_option_set("multi-prog");
	if (multi_prog && spank_prepend_task_argv == NULL) {
		slurm_error("hpc3: --multi-prog: in a container it needs Slurm 23.11 or later");
		return -1;
	}
	if (ask(image) != 0)
		return -1;
	if (setenv(V_IMAGE, image, 1) != 0)
		return -1;
	return multi_prog ? setenv(V_MULTI_PROG, "1", 1) : 0;
}

/* task_variable is the value of V_TASK for a command. */
static char *task_variable(const char *command)
{
	char *value = malloc(strlen(command) + 2);

	if (value != NULL)
		stpcpy(stpcpy(value, "="), command);
	return value;
}

/* slurm_spank_local_user_init puts hpc3-run into the command's place already in srun: where a node lacks this plugin the step then still runs in its
 * container, or fails where hpc3-run is missing too, but never on the host. What srun cannot change is left to the nodes: commands for
 * each task, and components, whose commands differ. */
int slurm_spank_local_user_init(spank_t spank, int ac, char **av)
{
	int argc = 0;
	char **argv = NULL, *value, *launcher;

	(void)ac;
	(void)av;
	if (getenv(V_IMAGE) == NULL || getenv(V_MULTI_PROG) != NULL || components > 1)
		return 0;
	if (spank_get_item(spank, S_JOB_ARGV, &argc, &argv) != ESPANK_SUCCESS || argc < 1)
		return 0; /* the nodes do it */
	value = task_variable(argv[0]);
	launcher = strdup(conf.launcher);
	if (value == NULL || launcher == NULL || setenv(V_TASK, value, 1) != 0) {
		slurm_error("hpc3: %s", strerror(errno));
		return -1;
	}
	free(value);
	argv[0] = launcher;
	return 0;
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
	if (value == NULL || spank_setenv(spank, V_TASK, value, 1) != ESPANK_SUCCESS)
		die("setting " V_TASK, "out of memory");
}

/* end_with_slurmstepd has the kernel kill the task where slurmstepd is killed, as nobody else would. hpc3-run does so for the command, but it cannot
 * tell who its parent was. A parent outside of the task's PID namespace has the number 0. */
static void end_with_slurmstepd(void)
{
	pid_t parent;

	if (prctl(PR_SET_PDEATHSIG, SIGKILL) != 0)
		die("PR_SET_PDEATHSIG", strerror(errno));
	parent = getppid();
	if (parent != slurmstepd && parent != 0)
		die("slurmstepd", "it has ended");
}

/* slurm_spank_task_init runs in the task's process, as the user, before its prolog and limits: everything that Slurm does after it holds for
 * hpc3-run, and so for the command. A failure ends the task and nothing else. */
int slurm_spank_task_init(spank_t spank, int ac, char **av)
{
	char image[PATH_MAX], task[PATH_MAX * 4];
	uint32_t step = 0;
	int argc = 0;
	char **argv = NULL;

	if (!job_variable(spank, V_IMAGE, image, sizeof image))
		return 0;
	if (spank_get_item(spank, S_JOB_STEPID, &step) != ESPANK_SUCCESS || step == SLURM_EXTERN_CONT)
		return 0;
	if (configure(ac, av) != 0)
		die("plugstack.conf", "it is wrong");
	if (step == SLURM_BATCH_SCRIPT && !conf.batch_in_container)
		return 0;
	end_with_slurmstepd();
	if (step != SLURM_BATCH_SCRIPT && job_variable(spank, V_TASK, task, sizeof task) && *task == '=')
		return 0; /* srun did it */
	if (access(conf.launcher, X_OK) != 0)
		die(conf.launcher, strerror(errno));
	if (spank_prepend_task_argv != NULL) {
		const char *before[] = {conf.launcher};

		set_task(spank, "+");
		if (spank_prepend_task_argv(spank, 1, before) != ESPANK_SUCCESS)
			die("changing the command", "Slurm refuses it");
		return 0;
	}
	/* The task has the job's own array, of which only the words can be changed, and which --multi-prog does not use. */
	if (job_variable(spank, V_MULTI_PROG, task, sizeof task))
		die("--multi-prog", "in a container it needs Slurm 23.11 or later");
	if (spank_get_item(spank, S_JOB_ARGV, &argc, &argv) != ESPANK_SUCCESS || argc < 1)
		die("reading the command", "Slurm does not show it");
	set_task(spank, task_variable(argv[0]));
	argv[0] = strdup(conf.launcher);
	if (argv[0] == NULL)
		die("changing the command", "out of memory");
	return 0;
}
