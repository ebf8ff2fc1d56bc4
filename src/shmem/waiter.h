/*-------------------------------------------------------------------------
 *
 * waiter.h
 *	  Sessions that wait for the end of a job.
 *
 * A session enters the job it waits for, looks, and sleeps on its latch; who
 * writes a job's end tells it.  Nothing depends on being told but speed: a
 * session looks by itself, too.
 *
 *-------------------------------------------------------------------------
 */
#ifndef ROLEFERRY_WAITER_H
#define ROLEFERRY_WAITER_H

/* In a session, one at a time.  False: there is no place; nobody will tell. */
extern bool rf_waiter_begin(int64 job_id);
extern void rf_waiter_end(void);
extern bool rf_waiter_is_told(void);

/* Does anybody wait, in any database?  One read of shared memory. */
extern bool rf_waiters_exist(void);

/* This database's job has ended, visibly for others. */
extern void rf_waiters_tell(int64 job_id);

#endif							/* ROLEFERRY_WAITER_H */
