/* As much of Slurm as the plugin's functions on text need. */
void slurm_error(const char *format, ...) __attribute__((format(printf, 1, 2)));
