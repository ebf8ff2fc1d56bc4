/*-------------------------------------------------------------------------
 *
 * append.h
 *	  Putting a new job's row into the outbox without a statement.
 *
 *-------------------------------------------------------------------------
 */
#ifndef ROLEFERRY_APPEND_H
#define ROLEFERRY_APPEND_H

#include "outbox/job.h"

/*
 * As the outbox's owner, whoever asks.  The draft has passed rf_job_check().
 * False, and nothing done: this outbox has something that only a statement
 * serves (another trigger, a rule, a constraint or column of somebody else's).
 */
extern bool rf_append_waiting(const RfJobDraft *draft, int64 id);

/* The same, claimed by that dispatcher from the start. */
extern bool rf_append_running(const RfJobDraft *draft, int64 id,
							  int64 incarnation);

#endif							/* ROLEFERRY_APPEND_H */
