/* The words after spank_hpc3.so in plugstack.conf. */
#include <string.h>

#include "face.h"

#define DEFAULT_LAUNCHER "/usr/local/bin/hpc3-run"

struct conf hpc3_conf = {DEFAULT_LAUNCHER, NULL, "container", false};

/* hpc3_configure reads the words. In slurmstepd it runs as root, and again as the user. */
int hpc3_configure(int ac, char **av)
{
	for (int i = 0; i < ac; i++) {
		const char *value = strchr(av[i], '=');

		value = value == NULL ? "" : value + 1;
		if (strncmp(av[i], "launcher=/", 10) == 0) {
			hpc3_conf.launcher = value;
		} else if (strncmp(av[i], "library=/", 9) == 0) {
			hpc3_conf.library = value;
		} else if (strncmp(av[i], "prefix=", 7) == 0 && *value != '\0' && strlen(value) < 32) {
			hpc3_conf.prefix = value;
		} else if (strcmp(av[i], "batch=container") == 0 || strcmp(av[i], "batch=host") == 0) {
			hpc3_conf.batch_in_container = strcmp(value, "container") == 0;
		} else {
			hpc3_say("plugstack.conf: %s is not one of", av[i]);
			hpc3_say("launcher=/PATH library=/PATH prefix=NAME batch=host|container");
			return -1;
		}
	}
	return 0;
}
