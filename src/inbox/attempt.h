/*-------------------------------------------------------------------------
 *
 * attempt.h
 *	  Doing something that may fail, in a subtransaction.
 *
 *-------------------------------------------------------------------------
 */
#ifndef ROLEFERRY_ATTEMPT_H
#define ROLEFERRY_ATTEMPT_H

/*
 * Runs it in a subtransaction.  NULL: done.  Else everything it did in the
 * database is taken back, and the result says why, palloc'd.  What ends the
 * statement (cancel, timeout, shutdown) is raised.
 */
extern char *rf_attempt(void (*run) (void *arg), void *arg);

#endif							/* ROLEFERRY_ATTEMPT_H */
