/* In srun, sbatch and salloc: relative paths, and paths that begin with "~/", are made absolute.
 * The script of a job may change directory, and steps inherit options of the job. */
#define _GNU_SOURCE
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "face.h"

/* base_directory returns the directory in which a relative path begins, as PWD names it; NULL if
 * it is unknown. The caller frees it. */
static char *base_directory(const char *path)
{
	const char *home = getenv("HOME");

	if (strncmp(path, "~/", 2) != 0)
		return get_current_dir_name();
	return home != NULL && *home == '/' ? strdup(home) : NULL;
}

/* absolute returns prefix and the path of length n, made absolute. The directory must not contain
 * a character of forbidden, which would end the path where it is parsed later. The caller frees
 * the result; NULL is an error, which has been reported. */
static char *absolute(const char *prefix, const char *path, size_t n, const char *forbidden)
{
	char *result = NULL, *dir = NULL;
	size_t skip = strncmp(path, "~/", 2) == 0 ? 2 : 0;

	if (n == 0 || *path == '/')
		return asprintf(&result, "%s%.*s", prefix, (int)n, path) < 0 ? NULL : result;
	while (n - skip > 2 && strncmp(path + skip, "./", 2) == 0)
		skip += 2;
	dir = base_directory(path);
	if (dir == NULL)
		hpc3_say("%.*s: the directory that this begins in is not known", (int)n, path);
	else if (strpbrk(dir, forbidden) != NULL)
		hpc3_say("%.*s: the name of the directory %s would end at one of \"%s\"", (int)n, path, dir,
				 forbidden);
	else if (asprintf(&result, "%s%s/%.*s", prefix, strcmp(dir, "/") == 0 ? "" : dir,
					  (int)(n - skip), path + skip) < 0)
		result = NULL;
	free(dir);
	return result;
}

static bool has_suffix(const char *text, const char *end)
{
	size_t n = strlen(text), m = strlen(end);

	return n >= m && strcmp(text + n - m, end) == 0;
}

char *hpc3_absolute_image(const char *image)
{
	static const char *const transports[] = {"oci:", "oci-archive:", "docker-archive:", "sif:"};

	for (size_t i = 0; i < sizeof transports / sizeof *transports; i++) {
		size_t n = strlen(transports[i]);

		if (strncmp(image, transports[i], n) == 0)
			return absolute(transports[i], image + n, strlen(image + n),
							strcmp(transports[i], "sif:") == 0 ? "" : ":");
	}
	if (has_suffix(image, ".sif") && strstr(image, "://") == NULL)
		return absolute("", image, strlen(image), "");
	return strdup(image);
}

char *hpc3_absolute_path(const char *path)
{
	return absolute("", path, strlen(path), "");
}

/* is_relative reports whether a part of a list of mounts begins with a relative path. A part
 * without a colon is an option of the mount before it, or an error that is reported later; tmpfs
 * is not a path. */
static bool is_relative(const char *part, size_t n)
{
	if (n > 1 && strncmp(part, "~/", 2) == 0)
		return true;
	return n > 0 && *part != '/' && *part != ':' && memchr(part, ':', n) != NULL &&
		   strncmp(part, "tmpfs:", 6) != 0;
}

char *hpc3_absolute_mounts(const char *list)
{
	char *result = NULL;
	size_t size = 0;
	FILE *out = open_memstream(&result, &size);
	bool good = out != NULL;

	while (good) {
		size_t n = strcspn(list, ",");
		char *part = is_relative(list, n) ? absolute("", list, n, ":,") : strndup(list, n);

		good = part != NULL && fputs(part, out) >= 0 && (list[n] == '\0' || fputc(',', out) != EOF);
		free(part);
		if (list[n] == '\0')
			break;
		list += n + 1;
	}
	if (out != NULL)
		good = fclose(out) == 0 && good;
	if (!good) {
		free(result);
		result = NULL;
	}
	return result;
}

static int set_absolute(const char *name, char *(*absolute_of)(const char *))
{
	const char *value = getenv(name);
	char *path;
	int status;

	if (value == NULL || *value == '\0')
		return 0;
	path = absolute_of(value);
	status = path == NULL ? -1 : strcmp(path, value) == 0 ? 0 : setenv(name, path, 1);
	free(path);
	return status;
}

int hpc3_absolute_variables(bool all)
{
	static const char *const paths[] = {"HPC3_AUTHFILE", "HPC3_NODES_FILE", "HPC3_CONFIG",
										"HPC3_CACHEDIR", "HPC3_CONTAINER_ENV_FILE"};
	static const char *const others[] = {"REGISTRY_AUTH_FILE", "DOCKER_CONFIG"};
	int status = set_absolute("HPC3_CONTAINER_MOUNTS", hpc3_absolute_mounts);

	for (size_t i = 0; status == 0 && i < sizeof paths / sizeof *paths; i++)
		status = set_absolute(paths[i], hpc3_absolute_path);
	for (size_t i = 0; status == 0 && all && i < sizeof others / sizeof *others; i++)
		status = set_absolute(others[i], hpc3_absolute_path);
	return status;
}
