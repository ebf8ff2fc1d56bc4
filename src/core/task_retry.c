/*-------------------------------------------------------------------------
 *
 * task_retry.c
 *	  Is a SQL task that failed to be run again?
 *
 * IDENTIFICATION
 *	  src/core/task_retry.c
 *
 *-------------------------------------------------------------------------
 */
#include <string.h>

#include "core/task_retry.h"

#define CLASS_LENGTH	2
#define STATE_LENGTH	5

bool
rf_task_retries(const char *sqlstate, const char *const *give_up_on,
				int ngive_up_on, int failures, int max_attempts)
{
	for (int i = 0; i < ngive_up_on; i++)
	{
		size_t		length = strlen(give_up_on[i]);

		if ((length == CLASS_LENGTH || length == STATE_LENGTH) &&
			strncmp(sqlstate, give_up_on[i], length) == 0)
			return false;
	}
	return failures + 1 < max_attempts;
}

bool
rf_task_is_sqlstate(const char *text)
{
	size_t		length = strlen(text);

	if (length != CLASS_LENGTH && length != STATE_LENGTH)
		return false;
	return strspn(text, "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ") == length;
}
