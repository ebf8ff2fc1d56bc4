/*-------------------------------------------------------------------------
 *
 * routing.h
 *	  The tables route and queue, as a process that enqueues sees them.
 *
 * Read when they are first needed and after each change, the caller's own
 * uncommitted ones included.  Needs a transaction.
 *
 *-------------------------------------------------------------------------
 */
#ifndef ROLEFERRY_ROUTING_H
#define ROLEFERRY_ROUTING_H

#define RF_DEFAULT_QUEUE "default"

typedef struct RfQueue
{
	char	   *name;
	int			max_priority;
	int64		max_depth;		/* 0: none */
	bool		only_warns;		/* when it is full */
} RfQueue;

/* Where a task goes that names no queue; valid until the next call. */
extern const char *rf_routing_queue_of(const char *task);

/* NULL: there is none.  Valid until the next call. */
extern const RfQueue *rf_routing_find(const char *queue);

/* The names of all, palloc'd, for a hint. */
extern char *rf_routing_names(void);

#endif							/* ROLEFERRY_ROUTING_H */
