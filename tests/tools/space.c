/* space LIBRARY: prints the address space that libhpc3spank.so takes in a process, in bytes, for
 * tests/tools/build-plugin. With less, Go may work or end the process: it depends on the order
 * in which its threads reserve space. */
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>

static unsigned long peak(void)
{
	FILE *file = fopen("/proc/self/status", "re");
	char line[256];
	unsigned long kilobytes = 0;

	while (file != NULL && fgets(line, sizeof line, file) != NULL) {
		if (sscanf(line, "VmPeak: %lu", &kilobytes) == 1)
			break;
	}
	if (file != NULL)
		fclose(file);
	return kilobytes << 10;
}

int main(int argc, char **argv)
{
	/* A registry that refuses: asking it makes Go start all that it ever starts. */
	static const char request[] =
		"image=127.0.0.1:9/a/b:1\0env=HOME=/nonexistent\0env=HPC3_CONFIG=";
	char *(*submit)(const char *, size_t, size_t *);
	unsigned long before = peak();
	size_t length = 0;
	void *library = argc == 2 ? dlopen(argv[1], RTLD_NOW | RTLD_LOCAL) : NULL;

	submit = library == NULL
				 ? NULL
				 : (char *(*)(const char *, size_t, size_t *))dlsym(library, "hpc3_submit");
	if (submit == NULL) {
		fprintf(stderr, "space: %s\n", argc == 2 ? dlerror() : "name the library");
		return 1;
	}
	free(submit(request, sizeof request, &length));
	printf("%lu\n", peak() - before);
	return before == 0 || length == 0;
}
