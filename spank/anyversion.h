/* In place of SPANK_PLUGIN: one build for every version of Slurm.
 *
 * Slurm refuses plugins of another major.minor. The interface of SPANK has only grown from 22.05 to
 * 26.05, so this build claims the version that runs: it takes the number from a plugin of Slurm's
 * own that the process has loaded before. That defeats a check that has its reason, and is not the
 * default. In slurmd and slurmstepd take_version runs as root. */
#ifndef HPC3_ANYVERSION_H
#define HPC3_ANYVERSION_H

#include <link.h>

const char plugin_name[] = "hpc3";
const char plugin_type[] = "spank";
unsigned int plugin_version = SLURM_VERSION_NUMBER;
const unsigned int spank_plugin_version = 1;

static int slurms_own(struct dl_phdr_info *info, size_t size, void *found)
{
	const char *file = info->dlpi_name, *type;
	const unsigned int *version;
	void *library;

	(void)size;
	if (file == NULL || strstr(file, "slurm") == NULL || strstr(file, "/libslurm") != NULL)
		return 0;
	library = dlopen(file, RTLD_LAZY | RTLD_NOLOAD);
	if (library == NULL)
		return 0;
	type = dlsym(library, "plugin_type");
	version = dlsym(library, "plugin_version");
	if (type != NULL && version != NULL && version != &plugin_version && strcmp(type, "spank") != 0)
		*(unsigned int *)found = *version;
	dlclose(library);
	return *(unsigned int *)found != 0;
}

__attribute__((constructor)) static void take_version(void)
{
	unsigned int found = 0;

	dl_iterate_phdr(slurms_own, &found);
	if (found != 0)
		plugin_version = found;
}

#endif
