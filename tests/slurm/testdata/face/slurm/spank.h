/* As much of Slurm as the plugin's functions need to be compiled, and to run without Slurm. */
#include <stdint.h>

typedef struct spank_handle *spank_t;
typedef enum { ESPANK_SUCCESS, ESPANK_NOSPACE } spank_err_t;
typedef enum {
	S_CTX_ERROR,
	S_CTX_LOCAL,
	S_CTX_REMOTE,
	S_CTX_ALLOCATOR,
	S_CTX_SLURMD,
	S_CTX_JOB_SCRIPT
} spank_context_t;
typedef enum { S_JOB_ARGV, S_JOB_STEPID, S_TASK_EXIT_STATUS } spank_item_t;
typedef int (*spank_opt_cb_f)(int val, const char *optarg, int remote);

struct spank_option {
	char *name, *arginfo, *usage;
	int has_arg, val;
	spank_opt_cb_f cb;
};

#define SLURM_EXTERN_CONT  0xfffffffcU
#define SLURM_BATCH_SCRIPT 0xfffffffbU

#define SPANK_PLUGIN(name, version)                                                                \
	const char plugin_name[] = #name, plugin_type[] = "spank";                                     \
	const unsigned int spank_plugin_version = version;

spank_context_t spank_context(void);
spank_err_t spank_option_register(spank_t spank, struct spank_option *option);
const char *spank_strerror(spank_err_t err);
spank_err_t spank_get_item(spank_t spank, spank_item_t item, ...);
spank_err_t spank_getenv(spank_t spank, const char *name, char *value, int size);
spank_err_t spank_setenv(spank_t spank, const char *name, const char *value, int overwrite);

int slurm_spank_init(spank_t spank, int ac, char **av);
int slurm_spank_init_post_opt(spank_t spank, int ac, char **av);
int slurm_spank_local_user_init(spank_t spank, int ac, char **av);
int slurm_spank_user_init(spank_t spank, int ac, char **av);
int slurm_spank_task_init(spank_t spank, int ac, char **av);
int slurm_spank_task_exit(spank_t spank, int ac, char **av);
