/* As much of Slurm as the plugin's functions need to be compiled, and to run without Slurm. */
void slurm_error(const char *format, ...) __attribute__((format(printf, 1, 2)));
void slurm_info(const char *format, ...) __attribute__((format(printf, 1, 2)));
