/*-------------------------------------------------------------------------
 *
 * shortage.c
 *	  Is this process short of descriptors or memory?
 *
 * The last descriptors below the limit are not for connections.  Files that
 * the server must open (its log of changes, above all) come first: that it
 * cannot open one may stop all of it, and a mail can wait.
 *
 * IDENTIFICATION
 *	  src/http/shortage.c
 *
 *-------------------------------------------------------------------------
 */
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

#include "http/shortage.h"

#define SPARE_DESCRIPTORS	16

/* As much as starting a resolver takes: a thread with its stack. */
#define ENOUGH_BYTES		((size_t) 9 * 1024 * 1024)

const char	rf_shortage_of_descriptors[] = "too many open files";
const char	rf_shortage_of_memory[] = "out of memory";

static bool are_few_left(int fd);

/* The lowest free number is taken, so a high one shows that few are left. */
bool
rf_shortage_is_spare(int fd)
{
	struct rlimit limit;

	return getrlimit(RLIMIT_NOFILE, &limit) == 0 &&
		limit.rlim_cur != RLIM_INFINITY &&
		(rlim_t) fd + SPARE_DESCRIPTORS >= limit.rlim_cur;
}

/*
 * A single low number may be free below a limit that was lowered: whoever
 * opens a file in a directory needs two.
 */
static bool
are_few_left(int fd)
{
	int			copies[SPARE_DESCRIPTORS] = {0};
	int			ncopies = 0;
	bool		few = false;

	while (!few && ncopies < SPARE_DESCRIPTORS)
	{
		int			copy = fcntl(fd, F_DUPFD_CLOEXEC, 0);

		few = copy < 0;
		if (copy >= 0)
			copies[ncopies++] = copy;
	}
	for (int i = 0; i < ncopies; i++)
		close(copies[i]);
	return few;
}

const char *
rf_shortage_now(int fd)
{
	void	   *memory;

	if (are_few_left(fd))
		return rf_shortage_of_descriptors;

	memory = mmap(NULL, ENOUGH_BYTES, PROT_READ | PROT_WRITE,
				  MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (memory == MAP_FAILED)
		return rf_shortage_of_memory;
	munmap(memory, ENOUGH_BYTES);
	return NULL;
}
