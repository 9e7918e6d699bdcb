/* In srun: whether its command is one of a module that "hpc3 module" has written. Such a command
 * becomes hpc3-run on the node, with the module's image. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "face.h"

/* is_shim reads the beginning of a script: launcher/module writes its second line. */
static bool is_shim(const char *path)
{
	static const char mark[] = "#!/bin/sh\n# hpc3 module command: ";
	char head[sizeof mark - 1];
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	ssize_t n = fd < 0 ? -1 : read(fd, head, sizeof head);

	if (fd >= 0)
		close(fd);
	return n == sizeof head && memcmp(head, mark, sizeof head) == 0;
}

/* find sets path to the file that a command is by PATH. */
static bool find(const char *command, char path[PATH_MAX])
{
	const char *dir = getenv("PATH");

	for (; dir != NULL && *dir != '\0'; dir += strspn(dir, ":")) {
		int n = (int)strcspn(dir, ":");

		if (snprintf(path, PATH_MAX, "%.*s/%s", n, dir, command) < PATH_MAX &&
			access(path, X_OK) == 0)
			return true;
		dir += n;
	}
	return false;
}

/* hpc3_calls_module looks at the word that getopt has left first. */
bool hpc3_calls_module(void)
{
	char path[PATH_MAX], *words, *command;
	size_t length;
	bool is = false;

	if (hpc3_program() != HPC3_SRUN || hpc3_slurm_option_set("multi-prog"))
		return false;
	words = hpc3_command_line(&length);
	command = words;
	for (int n = 0; command != NULL && n < optind; n++) {
		command += strlen(command) + 1;
		if (command >= words + length)
			command = NULL;
	}
	if (command != NULL && strchr(command, '/') != NULL)
		is = is_shim(command);
	else if (command != NULL && *command != '\0')
		is = find(command, path) && is_shim(path);
	free(words);
	return is;
}
