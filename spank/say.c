/* Errors, in Slurm's log or on standard error. */
#define _GNU_SOURCE
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "face.h"

static bool said;

/* hpc3_say prints a line of an error, for which the caller returns a failure. */
void hpc3_say(const char *format, ...)
{
	char *text = NULL;
	va_list words;

	va_start(words, format);
	if (vasprintf(&text, format, words) < 0)
		text = NULL;
	va_end(words);
	slurm_error("hpc3: %s", text == NULL ? "out of memory" : text);
	free(text);
	said = true;
}

bool hpc3_has_said(void)
{
	return said;
}
