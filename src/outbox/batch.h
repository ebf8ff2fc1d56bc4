/*-------------------------------------------------------------------------
 *
 * batch.h
 *	  Batches on disk: one paid request at a provider for many jobs.
 *
 * A job that is in the hands of a batch has RF_WORKER_BATCH in the outbox: no
 * claim, sweep or orphan's settlement takes it from there, whoever dies.
 *
 * All functions run in the dispatcher's transactions, connected to SPI.
 *
 *-------------------------------------------------------------------------
 */
#ifndef ROLEFERRY_BATCH_H
#define ROLEFERRY_BATCH_H

#include "core/batch_step.h"
#include "datatype/timestamp.h"
#include "nodes/pg_list.h"

#define RF_WORKER_BATCH		(-1)
#define RF_BATCH_JOB_MAX	63

typedef struct RfBatch
{
	int64		id;
	char	   *task;
	char	   *account;
	bool		single;
	RfBatchStep step;
	char		provider_job[RF_BATCH_JOB_MAX + 1]; /* "": not known */
	int			page;			/* the next to be fetched, from 1 */
	int64		items_total;
	int64		items_done;
	TimestampTz created_at;
} RfBatch;

/*
 * The durable mark that its request may be out: the jobs are the batch's from
 * now on.  Fills in id and created_at.  items: text[].
 */
extern void rf_batch_insert(RfBatch *batch, const char *installation, Datum items,
							const int64 *jobs, int njobs, int64 incarnation);

/* A job whose question is under way already waits for that batch, too. */
extern void rf_batch_attach(int64 batch_id, int64 job_id, int64 incarnation);

/* Of these items, which are under way in a batch of the task?  0: in none. */
extern void rf_batch_find_items(const char *task, const char **items, int count,
								int64 *batch_ids);

/* List of RfBatch that are not over, palloc'd. */
extern List *rf_batch_load(const char *installation);

/* What it asks for, as text[]. */
extern Datum rf_batch_items(int64 batch_id);

extern void rf_batch_update(const RfBatch *batch, const char *reason);

/* Over: step says how. */
extern void rf_batch_end(const RfBatch *batch, const char *reason);

/* Its jobs become dead letters in this state; queues has one for each id. */
extern int	rf_batch_bury(const RfBatch *batch, const char *state,
						  const RfOutcome *outcome, int64 **ids, char ***queues);

/*
 * Before anything else after a start: those of another life become unknown with
 * their jobs, and so do jobs that say they are in a batch and are not.  Jobs
 * that a dead dispatcher had only gathered wait again.
 */
extern void rf_batch_adopt(const char *installation);

/* After a claim that may have failed: those of ours that never left are undone. */
extern void rf_batch_undo_unknown(const char *installation, const int64 *in_hand,
								  int nin_hand);

extern bool rf_batch_purge(void);

#endif							/* ROLEFERRY_BATCH_H */
