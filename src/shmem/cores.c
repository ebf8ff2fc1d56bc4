/*-------------------------------------------------------------------------
 *
 * cores.c
 *	  How many cores this process may run on.
 *
 * IDENTIFICATION
 *	  src/shmem/cores.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <sched.h>

#include "shmem/cores.h"

/* Asked once: whoever is moved later has guessed wrong, no more. */
int
rf_cores(void)
{
	static int	cores = 0;
	cpu_set_t	ours;

	if (cores == 0)
		cores = sched_getaffinity(0, sizeof(ours), &ours) == 0 ? CPU_COUNT(&ours) : 1;
	return cores;
}
