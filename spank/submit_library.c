/* In srun, sbatch and salloc: libhpc3spank.so, which is Go, checks a request. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "face.h"

#define LIBRARY "libhpc3spank.so"

/* The library's only function. Request and answer are words with a NUL after each; the caller
 * frees the answer. */
typedef char *(*submit_fn)(const char *request, size_t length, size_t *answer_length);

static struct {
	char *words;
	size_t length;
} request;

static int add_word(const char *kind, const char *text)
{
	size_t n = strlen(kind) + strlen(text) + 1;
	char *words = realloc(request.words, request.length + n);

	if (words == NULL)
		return -1;
	request.words = words;
	stpcpy(stpcpy(words + request.length, kind), text);
	request.length += n;
	return 0;
}

static submit_fn load(void)
{
	char path[PATH_MAX];
	Dl_info here;
	const char *slash;
	void *library;
	submit_fn submit;

	if (hpc3_conf.library != NULL) {
		snprintf(path, sizeof path, "%s", hpc3_conf.library);
	} else if (dladdr(&hpc3_conf, &here) != 0 && (slash = strrchr(here.dli_fname, '/')) != NULL) {
		snprintf(path, sizeof path, "%.*s/%s", (int)(slash - here.dli_fname), here.dli_fname,
				 LIBRARY);
	} else {
		snprintf(path, sizeof path, "%s", LIBRARY);
	}
	library = dlopen(path, RTLD_NOW | RTLD_LOCAL);
	if (library == NULL) {
		hpc3_say("%s", dlerror());
		return NULL;
	}
	submit = (submit_fn)dlsym(library, "hpc3_submit");
	if (submit == NULL)
		hpc3_say("%s", dlerror());
	return submit;
}

/* apply does what the library answers. */
static int apply(const char *answer, size_t length)
{
	int status = 0;

	for (const char *word = answer; word < answer + length; word += strlen(word) + 1) {
		const char *text = strchr(word, ' ');
		char *name, *value;

		if (text == NULL)
			return -1;
		text++;
		if (strncmp(word, "set ", 4) == 0 && (name = strdup(text)) != NULL &&
			(value = strchr(name, '=')) != NULL) {
			*value++ = '\0';
			if (setenv(name, value, 1) != 0)
				status = -1;
			free(name);
		} else if (strncmp(word, "unset ", 6) == 0) {
			unsetenv(text);
		} else if (strncmp(word, "note ", 5) == 0) {
			slurm_info("hpc3: %s", text);
		} else {
			hpc3_say("%s", text);
			status = -1;
		}
	}
	return status;
}

static void put_json(FILE *out, const char *text, size_t n)
{
	fputc('"', out);
	for (; n > 0; n--, text++) {
		if ((unsigned char)*text < ' ' || *text == '"' || *text == '\\')
			fprintf(out, "\\u%04x", (unsigned)(unsigned char)*text);
		else
			fputc(*text, out);
	}
	fputc('"', out);
}

/* pass_unchecked passes the options to the nodes in the form of the library: a list of [NAME,
 * VALUE], after the options of the job. If an option is given twice, the nodes take the later
 * one. */
static int pass_unchecked(void)
{
	const char *job_options = getenv(V_OPTIONS);
	char *list = NULL;
	size_t size = 0, kept = job_options == NULL ? 0 : strlen(job_options);
	FILE *out;
	int status;

	if (hpc3_option_count() == 0)
		return 0;
	out = open_memstream(&list, &size);
	if (out == NULL)
		return -1;
	if (kept > 2) /* without its last bracket */
		fprintf(out, "%.*s", (int)(kept - 1), job_options);
	for (int i = 0; i < hpc3_option_count(); i++) {
		const char *name = hpc3_option(i), *value = strchr(name, '=') + 1;

		fputs(i > 0 || kept > 2 ? ",[" : "[[", out);
		put_json(out, name, (size_t)(value - 1 - name));
		fputc(',', out);
		put_json(out, value, strlen(value));
		fputc(']', out);
	}
	fputc(']', out);
	status = fclose(out) != 0 ? -1 : setenv(V_OPTIONS, list, 1);
	free(list);
	return status;
}

/* add_script adds the words of sbatch's command line from the script on. They are what getopt has
 * left; the script of a heterogeneous job follows its components. */
static int add_script(void)
{
	char *words;
	size_t length;
	int n = 0, status = 0;

	if (hpc3_program() != HPC3_SBATCH || hpc3_slurm_option_set("wrap"))
		return 0;
	words = hpc3_command_line(&length);
	if (words == NULL)
		return 0;
	for (char *word = words; status == 0 && word < words + length; word += strlen(word) + 1) {
		if (n++ >= optind)
			status = add_word("script=", word);
	}
	free(words);
	return status == 0 && n <= optind ? add_word("script=", "-") : status;
}

static int write_request(const char *image, const char *written, const char *inherited)
{
	int status = add_word("version=", HPC3_VERSION);

	if (status == 0 && image != NULL)
		status = add_word("image=", image);
	if (status == 0 && image != NULL)
		status = add_word("written=", written);
	if (status == 0 && image != NULL)
		status = add_script();
	if (status == 0 && inherited != NULL)
		status = add_word("inherited=", inherited);
	for (int i = 0; status == 0 && i < hpc3_option_count(); i++)
		status = add_word("option=", hpc3_option(i));
	for (char **e = environ; status == 0 && *e != NULL; e++)
		status = add_word("env=", *e);
	return status;
}

/* send_request has the library answer. Go raises the limit of open files, which would become the
 * limit of the job: it is restored. */
static int send_request(void)
{
	struct rlimit files;
	submit_fn submit;
	char *answer = NULL;
	size_t length = 0;
	int status;

	if (getrlimit(RLIMIT_NOFILE, &files) != 0)
		return -1;
	submit = load();
	if (submit != NULL)
		answer = submit(request.words, request.length, &length);
	setrlimit(RLIMIT_NOFILE, &files);
	if (answer == NULL)
		return -1;
	status = apply(answer, length);
	free(answer);
	return status;
}

/* hpc3_check_request has the library check a request, and sets the variables of the job. Without
 * an image that is a request for options alone. */
int hpc3_check_request(const char *image, const char *written, const char *inherited)
{
	if (!hpc3_room_for_go()) {
		if (image != NULL && (inherited == NULL || strcmp(image, inherited) != 0))
			unsetenv(V_PIN);
		return pass_unchecked();
	}
	return write_request(image, written, inherited) != 0 ? -1 : send_request();
}

int hpc3_explain_pyxis_option(const char *option)
{
	if (add_word("version=", HPC3_VERSION) == 0 && add_word("other=", option) == 0 &&
		hpc3_room_for_go())
		send_request();
	else
		hpc3_say("--%.*s is an option of pyxis; see man hpc3-habits", (int)strcspn(option, "="),
				 option);
	return -1;
}
