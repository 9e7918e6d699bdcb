/* The text of a --multi-prog file, which srun changes and a node checks. It is parsed as Slurm's
 * multi_prog_get_argv does: a line holds ranks and their command, a line that begins with # is a
 * comment, and a backslash at the end of a line continues it. */
#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "face.h"

static bool blank(char c)
{
	return isspace((unsigned char)c) != 0;
}

/* command_of returns where the command begins in the line from line to end; NULL if there is
 * none. */
static const char *command_of(const char *line, const char *end)
{
	while (line < end && blank(*line))
		line++;
	if (line == end || *line == '#')
		return NULL;
	while (line < end && !blank(*line))
		line++;
	while (line < end && blank(*line))
		line++;
	return line == end ? NULL : line;
}

/* put_escaped writes a word and a blank, with a backslash before what Slurm would interpret. It
 * returns the end. */
static char *put_escaped(char *to, const char *word)
{
	for (; *word != '\0'; word++) {
		if (blank(*word) || strchr("\\%'", *word) != NULL)
			*to++ = '\\';
		*to++ = *word;
	}
	*to++ = ' ';
	return to;
}

/* each_lacking calls insert for each command that does not begin with word, and returns their
 * number. */
static size_t each_lacking(const char *text, const char *word, size_t word_length,
						   void (*insert)(void *to, const char *command), void *to)
{
	size_t found = 0;
	bool continues = false;

	for (const char *line = text, *end; *line != '\0'; line = *end == '\0' ? end : end + 1) {
		const char *command = NULL;

		end = line + strcspn(line, "\n");
		if (end == line)
			continue; /* Slurm skips an empty line, even after a backslash */
		if (!continues)
			command = command_of(line, end);
		continues = end[-1] == '\\';
		if (command == NULL || strncmp(command, word, word_length) == 0)
			continue;
		found++;
		if (insert != NULL)
			insert(to, command);
	}
	return found;
}

struct copy {
	const char *from; /* the rest, not copied yet */
	char *to;
	const char *word;
	size_t word_length;
};

static void insert_word(void *v, const char *command)
{
	struct copy *copy = v;
	size_t n = (size_t)(command - copy->from);

	memcpy(copy->to, copy->from, n);
	memcpy(copy->to + n, copy->word, copy->word_length);
	copy->to += n + copy->word_length;
	copy->from = command;
}

static char *word_of(const char *launcher, size_t *length)
{
	char *word = malloc(2 * strlen(launcher) + 2);

	if (word != NULL) {
		char *end = put_escaped(word, launcher);

		*end = '\0';
		*length = (size_t)(end - word);
	}
	return word;
}

size_t hpc3_multiprog_lacking(const char *text, const char *launcher)
{
	size_t length = 0, found;
	char *word = word_of(launcher, &length);

	if (word == NULL)
		return 1; /* out of memory: unknown, so the caller must not trust the text */
	found = each_lacking(text, word, length, NULL, NULL);
	free(word);
	return found;
}

char *hpc3_multiprog_insert(const char *text, const char *launcher)
{
	size_t length = 0;
	char *word = word_of(launcher, &length), *result = NULL;

	if (word != NULL)
		result = malloc(strlen(text) + each_lacking(text, word, length, NULL, NULL) * length + 1);
	if (result != NULL) {
		struct copy copy = {text, result, word, length};

		each_lacking(text, word, length, insert_word, &copy);
		strcpy(copy.to, copy.from);
	}
	free(word);
	return result;
}
