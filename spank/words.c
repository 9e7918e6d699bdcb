/* The words of this process, in srun, sbatch and salloc. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "face.h"

char *hpc3_command_line(size_t *length)
{
	char *words = NULL, *larger;
	size_t room = 0;
	ssize_t n = 1;
	int fd = open("/proc/self/cmdline", O_RDONLY | O_CLOEXEC);

	*length = 0;
	while (fd >= 0 && n > 0) {
		if (*length == room) {
			room = 2 * room + 4096;
			larger = realloc(words, room);
			if (larger == NULL)
				break;
			words = larger;
		}
		n = read(fd, words + *length, room - *length);
		*length += n > 0 ? (size_t)n : 0;
	}
	if (fd >= 0)
		close(fd);
	if (*length == 0 || words[*length - 1] != '\0') { /* not all was read */
		free(words);
		words = NULL;
	}
	return words;
}
