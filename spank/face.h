/* What the files of spank_hpc3.so share. ARCHITECTURE.md says which of them runs where. */
#ifndef HPC3_FACE_H
#define HPC3_FACE_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include <slurm/slurm.h>
#include <slurm/spank.h>

/* Variables of a job. */
#define V_IMAGE      "SLURM_CONTAINER"
#define V_TASK       "SLURM_HPC3_TASK"       /* "=WORD": WORD was the command; "+": it follows hpc3-run */
#define V_LAUNCHER   "SLURM_HPC3_LAUNCHER"   /* the hpc3-run that srun put there */
#define V_MULTI_PROG "SLURM_HPC3_MULTI_PROG" /* the step has a command for each task */
#define V_BCAST      "SLURM_HPC3_BCAST"      /* the command is a file that Slurm has copied to the nodes */

/* Those that the library and hpc3-run know as well. */
#define V_OPTIONS "SLURM_HPC3_OPTIONS"
#define V_PIN     "SLURM_HPC3_PIN"
#define V_VERSION "SLURM_HPC3_VERSION" /* HPC3_PROTOCOL, a blank, HPC3_VERSION */

/* What the variables mean. It is launcher/task's Protocol, and changes only if a hpc3-run would do the wrong thing
 * with the variables of another one: nodes refuse tasks of another protocol. */
#define HPC3_PROTOCOL "1"

/* Of the sources, by tests/tools/build-plugin. */
#ifndef HPC3_VERSION
#define HPC3_VERSION "dev"
#endif

/* The image of a step that runs on the host. An image of that name is docker://none. */
#define NO_IMAGE "none"

/* Since 23.11. */
extern spank_err_t spank_prepend_task_argv(spank_t spank, int argc, const char *argv[]) __attribute__((weak));

/* face.c: what stands behind the plugin in plugstack.conf, and where this runs. */
struct conf {
	const char *launcher;
	const char *library; /* NULL: beside this file */
	const char *prefix;
	bool batch_in_container;
};
extern struct conf hpc3_conf;
int hpc3_configure(int ac, char **av);
bool hpc3_submits(void);     /* in srun, sbatch or salloc */
pid_t hpc3_slurmstepd(void); /* the parent of the tasks */

/* options.c */
int hpc3_register_options(spank_t spank);
const char *hpc3_image_option(void);          /* the image by an option of ours; NULL for none */
bool hpc3_no_container(void);                 /* --no-container was given */
const char *hpc3_other(void);                 /* an option of pyxis that was given, NAME=VALUE; NULL for none */
int hpc3_given(void);                         /* how many options beside the image were given */
const char *hpc3_option(int n);               /* the nth of these, NAME=VALUE */
bool hpc3_slurm_has_container(void);          /* --container is Slurm's own */
bool hpc3_slurm_option_set(const char *name); /* an option of Slurm's own, NAME without dashes, was given */
char *hpc3_slurm_option(const char *name);    /* its value; NULL where it was not given */
bool hpc3_slurm_forget(const char *name);     /* takes it back */

/* submit.c */
int hpc3_before_options(void);
int hpc3_components(void); /* of the step; more than 1 for a heterogeneous one */

/* words.c */
char *hpc3_command_line(size_t *length); /* of this process, a NUL behind each word; NULL on failure */

/* refuse.c: what is said of a mistake, and how srun, sbatch or salloc ends by it. */
void hpc3_say(const char *format, ...) __attribute__((format(printf, 1, 2)));
int hpc3_refuse(void); /* -1 where it returns */

/* Said before Slurm blames the plugin. */
#define HPC3_WORKS "this is refused; the plugin itself works, whatever follows"

/* library.c */
int hpc3_ask(const char *image, const char *written, const char *inherited);
int hpc3_ask_other(const char *other); /* says what it is here; -1 */

/* limits.c */
bool hpc3_room_for_go(void); /* false is told */

/* path.c: paths made absolute. The caller frees them. NULL and -1 are mistakes, reported. */
char *hpc3_absolute_image(const char *image);
char *hpc3_absolute_path(const char *path);
char *hpc3_absolute_mounts(const char *list);
int hpc3_absolute_variables(bool all); /* HPC3_..., and if all docker's and podman's */

/* multiprog.c: the text of a file for --multi-prog. */
size_t hpc3_multiprog_without(const char *text, const char *launcher); /* commands without it */
char *hpc3_multiprog_with(const char *text, const char *launcher);     /* NULL: no memory */

#endif
