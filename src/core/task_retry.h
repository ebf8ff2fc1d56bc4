/*-------------------------------------------------------------------------
 *
 * task_retry.h
 *	  Is a SQL task that failed to be run again?
 *
 *-------------------------------------------------------------------------
 */
#ifndef ROLEFERRY_TASK_RETRY_H
#define ROLEFERRY_TASK_RETRY_H

#include <stdbool.h>

/*
 * sqlstate: five characters.  give_up_on: SQLSTATEs and classes of them (their
 * first two characters) that the same arguments would meet again.  failures:
 * charged so far, this one not counted.
 */
extern bool rf_task_retries(const char *sqlstate,
							const char *const *give_up_on, int ngive_up_on,
							int failures, int max_attempts);

/* Is this a SQLSTATE or a class of them: five or two of 0-9 and A-Z? */
extern bool rf_task_is_sqlstate(const char *text);

#endif							/* ROLEFERRY_TASK_RETRY_H */
