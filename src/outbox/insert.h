/*-------------------------------------------------------------------------
 *
 * insert.h
 *	  A checked job becomes a row.
 *
 *-------------------------------------------------------------------------
 */
#ifndef ROLEFERRY_INSERT_H
#define ROLEFERRY_INSERT_H

#include "outbox/job.h"

/* The id of a job to come, for a draft that is to have it. */
extern int64 rf_insert_next_id(void);

/*
 * In a session, after rf_job_check(): insert the job as the outbox's owner and
 * wake the dispatcher at commit.  Returns its id; where the idempotency key
 * was used before, that job's id, and sets *existed (which may be NULL).
 */
extern int64 rf_insert_waiting(const RfJobDraft *draft, bool *existed);

/* In a session: keep a job that failed the check, with what is wrong with it. */
extern int64 rf_insert_dead_letter(const RfJobDraft *draft,
								   const RfJobProblem *problem);

/*
 * The same for one whose recipient is suppressed, and why.  Where the
 * idempotency key was used before it returns that job's id.
 */
extern int64 rf_insert_suppressed(const RfJobDraft *draft, const char *why);

/*
 * In the dispatcher, connected to SPI: insert a job that is claimed by this
 * incarnation from the start.  False: its idempotency key was used before, and
 * *id is that job's.
 */
extern bool rf_insert_running(const RfJobDraft *draft, int64 incarnation,
							  int64 *id);

/* Which of these jobs are in the outbox?  Fills found[]; connected to SPI. */
extern void rf_insert_find(const int64 *ids, int nids, bool *found);

/*
 * In a session: act as the outbox's owner, connected to SPI, and no longer.
 * An error in between gives the identity back with the transaction.
 */
extern void rf_insert_begin_as_owner(Oid *userid, int *context);
extern void rf_insert_end_as_owner(Oid userid, int context);

#endif							/* ROLEFERRY_INSERT_H */
