/*-------------------------------------------------------------------------
 *
 * stat_queue.h
 *	  What the queues of a database hold and have done: shared memory.
 *
 * What ended is counted by whoever ends it; what waits is counted by the
 * dispatcher, in its sweeps (worker/census.c), and is as old as its `at` says.
 * A queue that finds no place is counted in its database's totals only.
 *
 *-------------------------------------------------------------------------
 */
#ifndef ROLEFERRY_STAT_QUEUE_H
#define ROLEFERRY_STAT_QUEUE_H

#include "shmem/stat.h"

#define RF_STAT_QUEUES		256 /* over all databases */
#define RF_QUEUE_NAME_MAX	200

/* What waits in a queue. */
typedef struct RfQueueDepth
{
	int64		ready;			/* could go now */
	int64		later;			/* its run_at has not come */
	bool		estimated;		/* too many to be counted */
	TimestampTz oldest;			/* run_at of the first that is ready; 0: none */
	TimestampTz at;				/* when that was so; 0: not known */
} RfQueueDepth;

typedef struct RfStatQueue RfStatQueue;

/* As read. */
typedef struct RfStatQueueView
{
	char		name[RF_QUEUE_NAME_MAX + 1];
	uint64		jobs[RF_STAT_JOBS];
	uint32		running;
	double		ended_per_s;	/* over the last minute; retries apart */
	double		failed_per_s;
	RfQueueDepth depth;
} RfStatQueueView;

/* NULL: there is no place left. */
extern RfStatQueue *rf_stat_queue_place(Oid database, const char *name);

/* In the dispatcher of the database. */
extern void rf_stat_queue_running(RfStatQueue *queue, int running);
extern void rf_stat_queue_depth(RfStatQueue *queue, const RfQueueDepth *depth);

/*
 * Jobs of it that are in the outbox, and when they were counted one by one the
 * last time; at 0: they are not counted.  What is added is committed.
 */
extern int64 rf_stat_queue_held(RfStatQueue *queue, TimestampTz *at);
extern void rf_stat_queue_add(RfStatQueue *queue, int64 count);
extern void rf_stat_queue_recounted(RfStatQueue *queue, int64 was, int64 found,
									TimestampTz at);

/* A dispatcher begins, or leaves: nothing runs, and nobody knows what waits. */
extern void rf_stat_queues_unknown(Oid database);

/* Nothing waits in queues that were not counted at this moment. */
extern void rf_stat_queues_rest_empty(Oid database, TimestampTz at);

/* Queue number i (from 0) of the database; false: there are no more. */
extern bool rf_stat_next_queue(Oid database, int *i, RfStatQueueView *view);

#endif							/* ROLEFERRY_STAT_QUEUE_H */
