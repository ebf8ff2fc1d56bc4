/*-------------------------------------------------------------------------
 *
 * insert.h
 *	  A checked job becomes a row.
 *
 *-------------------------------------------------------------------------
 */
#ifndef ROLEFERRY_INSERT_H
#define ROLEFERRY_INSERT_H

#include "outbox/idempotency.h"
#include "outbox/job.h"

/* The id of a job to come, for a draft that is to have it. */
extern int64 rf_insert_next_id(void);

/*
 * In a session, after rf_job_check(): insert the job as the outbox's owner and
 * wake the dispatcher at commit.  *id becomes the job's; where the idempotency
 * key was used before, that job's, and *existed (which may be NULL) is set.
 * False: the key was used for another payload, see *problem.
 */
extern bool rf_insert_waiting(const RfJobDraft *draft, int64 *id, bool *existed,
							  RfJobProblem *problem);

/* In a session: keep a job that failed the check, with what is wrong with it. */
extern int64 rf_insert_dead_letter(const RfJobDraft *draft,
								   const RfJobProblem *problem);

/*
 * As rf_insert_waiting(), for one whose recipient is suppressed, and why: it
 * becomes a dead letter.
 */
extern bool rf_insert_suppressed(const RfJobDraft *draft, const char *why,
								 int64 *id, RfJobProblem *problem);

/*
 * In the dispatcher, connected to SPI: insert a job that is claimed by this
 * incarnation from the start, or not, as its idempotency key says.  *id is that
 * of the job that has the key.  The key may be NULL.
 */
extern RfKeyEnd rf_insert_running(const RfJobDraft *draft, int64 incarnation,
								  int64 *id, RfJobProblem *problem);

/* Which of these jobs are in the outbox?  Fills found[]; connected to SPI. */
extern void rf_insert_find(const int64 *ids, int nids, bool *found);

/*
 * In a session: act as the outbox's owner, connected to SPI, and no longer.
 * An error in between gives the identity back with the transaction.
 */
extern void rf_insert_begin_as_owner(Oid *userid, int *context);
extern void rf_insert_end_as_owner(Oid userid, int context);

#endif							/* ROLEFERRY_INSERT_H */
