/*-------------------------------------------------------------------------
 *
 * queues.h
 *	  Queues as the dispatcher uses them: how many of their jobs may go.
 *
 * Entries live as long as the process, so that flights can point to them.
 *
 *-------------------------------------------------------------------------
 */
#ifndef ROLEFERRY_WORKER_QUEUES_H
#define ROLEFERRY_WORKER_QUEUES_H

typedef struct RfQueueEntry
{
	char	   *name;
	int			concurrency;	/* 0: no bound of its own */
	int			in_flight;		/* claimed and not settled */
	int64		paused_until_us;	/* 0: not paused; INT64_MAX: for ever */
	struct RfStatQueue *stat;	/* NULL: there is no place */
} RfQueueEntry;

/* Read pauses and queues again, and tell the roster's accounts.  In a transaction. */
extern void rf_queues_refresh(void);

/* Made where it is not known yet. */
extern RfQueueEntry *rf_queues_find(const char *name);

/* A job of this queue was claimed; it is settled, or never was.  NULL: of none. */
extern RfQueueEntry *rf_queues_enter(const char *name);
extern void rf_queues_leave(RfQueueEntry *queue);

/* Of all of them. */
extern int	rf_queues_in_flight(void);

/* Was it paused after the claim? */
extern bool rf_queues_paused(RfQueueEntry *queue);

/*
 * Jobs of it that may be claimed now; INT_MAX: no bound.  0 with *opens_at_us
 * not 0: it is paused until then.
 */
extern int	rf_queues_room(RfQueueEntry *queue, int64 now_us, int64 *opens_at_us);

#endif							/* ROLEFERRY_WORKER_QUEUES_H */
