/* What the files of spank_hpc3.so share, ordered by the context of Slurm in which they run.
 * README.md says which of these functions run as root. */
#ifndef HPC3_FACE_H
#define HPC3_FACE_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include <slurm/slurm.h>
#include <slurm/spank.h>

/* Variables of a job. */
#define V_IMAGE      "SLURM_CONTAINER"
#define V_TASK       "SLURM_HPC3_TASK" /* "=WORD": WORD was the command; "+": it follows hpc3-run */
#define V_LAUNCHER   "SLURM_HPC3_LAUNCHER"   /* the hpc3-run that srun put there */
#define V_MULTI_PROG "SLURM_HPC3_MULTI_PROG" /* the step has a command for each task */
#define V_BCAST      "SLURM_HPC3_BCAST"      /* Slurm has copied the command to the nodes */
#define V_VARIANT    "SLURM_HPC3_VARIANT_FD" /* where hpc3-run writes the variant: sigill.c */

/* Variables that the library and hpc3-run read as well. */
#define V_OPTIONS "SLURM_HPC3_OPTIONS"
#define V_PIN     "SLURM_HPC3_PIN"
#define V_VERSION "SLURM_HPC3_VERSION" /* HPC3_PROTOCOL, a blank, HPC3_VERSION */

/* The meaning of the variables: launcher/task's Protocol. It changes only if an hpc3-run would do
 * the wrong thing with variables of another protocol: nodes refuse tasks of another one. */
#define HPC3_PROTOCOL "1"

/* The version of the sources; tests/tools/build-plugin sets it. */
#ifndef HPC3_VERSION
#define HPC3_VERSION "dev"
#endif

/* The image of a step that runs on the host. An image of that name is docker://none. */
#define NO_IMAGE "none"

/* Slurm has this function since 23.11. It is Slurm's: hidden, it would always be NULL. */
extern spank_err_t spank_prepend_task_argv(spank_t spank, int argc, const char *argv[])
	__attribute__((weak));

#pragma GCC visibility push(hidden)

/* In every context that has options: submit, and slurmstepd as root. */

/* conf.c: the words after spank_hpc3.so in plugstack.conf. */
struct conf {
	const char *launcher;
	const char *library; /* NULL: beside spank_hpc3.so */
	const char *prefix;
	bool batch_in_container;
};
extern struct conf hpc3_conf;
int hpc3_configure(int ac, char **av);

/* say.c */
void hpc3_say(const char *format, ...) __attribute__((format(printf, 1, 2)));
bool hpc3_has_said(void);

/* Said before Slurm blames the plugin. */
#define HPC3_WORKS "this is refused; the plugin itself works, whatever follows"

/* options.c: registration, and which options were given. */
int hpc3_register_options(spank_t spank);
bool hpc3_slurm_has_container(void); /* --container is Slurm's own */
const char *hpc3_image_option(void); /* the image by an option of ours; NULL for none */
bool hpc3_no_container(void);        /* --no-container was given */
const char *hpc3_pyxis_option(void); /* an option of pyxis, NAME=VALUE; NULL for none */
int hpc3_option_count(void);         /* the number of options given, without the image */
const char *hpc3_option(int n);      /* the nth of these, NAME=VALUE */

/* Submit: srun, sbatch and salloc, as the user. */

/* submit.c */
int hpc3_submit_init(spank_t spank, int ac, char **av);
int hpc3_submit_post_opt(void);
int hpc3_step_components(void); /* more than 1 for a heterogeneous step */

/* submit_command.c */
int hpc3_submit_command(spank_t spank);

/* submit_slurm.c: the program that this is part of. NAME is an option without its dashes. */
enum hpc3_program { HPC3_SRUN, HPC3_SBATCH, HPC3_SALLOC, HPC3_OTHER_PROGRAM };
enum hpc3_program hpc3_program(void);
bool hpc3_slurm_option_set(const char *name);   /* an option of Slurm's own was given */
char *hpc3_slurm_option(const char *name);      /* its value; NULL if it was not given */
bool hpc3_slurm_reset_option(const char *name); /* as if it was not given */
char *hpc3_command_line(size_t *length);        /* a NUL after each word; NULL on failure */
int hpc3_refuse(void);                          /* ends the program; -1 if it returns */

/* submit_library.c */
int hpc3_check_request(const char *image, const char *written, const char *inherited);
int hpc3_explain_pyxis_option(const char *option); /* always -1 */

/* submit_module.c */
bool hpc3_calls_module(void); /* srun's command is one of a module that hpc3 has written */

/* submit_limits.c */
bool hpc3_room_for_go(void); /* if not, it says so */

/* submit_path.c: paths made absolute. The caller frees them; NULL and -1 are errors, reported. */
char *hpc3_absolute_image(const char *image);
char *hpc3_absolute_path(const char *path);
char *hpc3_absolute_mounts(const char *list);
int hpc3_absolute_variables(bool all); /* HPC3_..., and if all, docker's and podman's */

/* Task: slurmstepd. task.c */
int hpc3_step_init(spank_t spank, int ac, char **av); /* as root */
void hpc3_step_user_init(spank_t spank);              /* as the user */
int hpc3_task_init(spank_t spank, int ac, char **av); /* as the user */
void hpc3_task_exit(spank_t spank);                   /* as root */

/* In slurmstepd. sigill.c: what is said of a task that ends by an illegal instruction. */
void hpc3_sigill_watch(void);         /* as the user */
void hpc3_sigill_tell(spank_t spank); /* as the user */
void hpc3_sigill_ended(int status);   /* as root */

/* In srun, and as the user in slurmstepd. multiprog.c: the text of a file for --multi-prog. */
size_t hpc3_multiprog_lacking(const char *text, const char *launcher); /* commands without it */
char *hpc3_multiprog_insert(const char *text, const char *launcher);   /* NULL: out of memory */

#pragma GCC visibility pop

#endif
