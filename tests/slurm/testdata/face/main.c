/* FUNCTION TEXT...: prints what a function of the plugin makes of a text. */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "face.h"

void slurm_error(const char *format, ...)
{
	va_list words;

	va_start(words, format);
	vfprintf(stderr, format, words);
	va_end(words);
	fputc('\n', stderr);
}

int main(int argc, char **argv)
{
	char *result = NULL;

	if (argc == 3 && strcmp(argv[1], "image") == 0)
		result = hpc3_absolute_image(argv[2]);
	else if (argc == 3 && strcmp(argv[1], "path") == 0)
		result = hpc3_absolute_path(argv[2]);
	else if (argc == 3 && strcmp(argv[1], "mounts") == 0)
		result = hpc3_absolute_mounts(argv[2]);
	else if (argc == 4 && strcmp(argv[1], "multiprog") == 0)
		result = hpc3_multiprog_insert(argv[3], argv[2]);
	if (result == NULL)
		return 1;
	/* What was put before each command is found there, and put there once. */
	if (strcmp(argv[1], "multiprog") == 0 && hpc3_multiprog_lacking(result, argv[2]) != 0)
		return 2;
	fputs(result, stdout);
	free(result);
	return 0;
}
