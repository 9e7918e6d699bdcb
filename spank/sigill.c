/* On a node, in slurmstepd: a task that ends by an illegal instruction was compiled for another
 * CPU, and nothing else says so, since hpc3-run has become the command by then.
 *
 * What is to be said is in memory that slurmstepd and the tasks share: the node's name, which a
 * task knows, and the variant, which its hpc3-run writes through a descriptor. That memory is made
 * by the user, and has a fixed size: whatever is in it, reading it is safe. When a task ends,
 * slurmstepd is root: it looks at the status and at this memory, and at nothing else. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "face.h"

#ifndef F_ADD_SEALS /* before glibc 2.27 */
#define F_ADD_SEALS   1033
#define F_SEAL_SEAL   0x0001
#define F_SEAL_SHRINK 0x0002
#define F_SEAL_GROW   0x0004
#endif
#define ALLOW_SEALING 0x0002u
#define CLOEXEC       0x0001u

/* hpc3-run's cmd/hpc3-run/variant.go has the same numbers. */
struct told {
	char node[256];
	char variant[256];
};

static struct told *told;   /* NULL: the tasks of this step have no container */
static int descriptor = -1; /* of the memory */

/* hpc3_sigill_watch runs as the user, before the tasks are forked. Without the memory nothing is
 * said. */
void hpc3_sigill_watch(void)
{
	void *memory;
	int fd = (int)syscall(SYS_memfd_create, "hpc3", ALLOW_SEALING | CLOEXEC);

	if (fd < 0)
		return;
	if (ftruncate(fd, sizeof *told) == 0 &&
		fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) == 0) {
		memory = mmap(NULL, sizeof *told, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
		if (memory != MAP_FAILED) {
			told = memory;
			descriptor = fd;
			return;
		}
	}
	close(fd);
}

/* hpc3_sigill_tell runs in the process of a task, as the user: hpc3-run gets the descriptor. */
void hpc3_sigill_tell(spank_t spank)
{
	char number[16];

	if (told == NULL)
		return;
	if (spank_getenv(spank, "SLURMD_NODENAME", told->node, sizeof told->node) != ESPANK_SUCCESS)
		gethostname(told->node, sizeof told->node - 1);
	snprintf(number, sizeof number, "%d", descriptor);
	if (spank_setenv(spank, V_VARIANT, number, 1) == ESPANK_SUCCESS)
		(void)fcntl(descriptor, F_SETFD, 0);
}

/* copy_word copies a name that the user may have written: what is no letter, digit or one of a few
 * signs ends it. */
static void copy_word(char *to, size_t size, const char *from)
{
	static const char signs[] =
		"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-/:+";
	size_t n = 0;

	for (; n + 1 < size && from[n] != '\0' && strchr(signs, from[n]) != NULL; n++)
		to[n] = from[n];
	to[n] = '\0';
}

/* hpc3_sigill_ended runs as root, once for each task: it says so for the first one. */
void hpc3_sigill_ended(int status)
{
	char node[128], variant[128];
	bool itself = WIFSIGNALED(status) && WTERMSIG(status) == SIGILL;

	if (told == NULL || !(itself || (WIFEXITED(status) && WEXITSTATUS(status) == 128 + SIGILL)))
		return;
	copy_word(node, sizeof node, told->node);
	copy_word(variant, sizeof variant, told->variant);
	told = NULL; /* once in a step */
	slurm_error(
		"hpc3: %s: a task ended %s an illegal instruction: its program is not made for this "
		"CPU; the image's variant is %s; see hpc3-troubleshooting(7), status 132",
		*node == '\0' ? "this node" : node, itself ? "by" : "with 132, the status of",
		*variant == '\0' ? "not known" : variant);
}
