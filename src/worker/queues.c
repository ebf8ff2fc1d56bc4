/*-------------------------------------------------------------------------
 *
 * queues.c
 *	  Queues as the dispatcher uses them: how many of their jobs may go.
 *
 * IDENTIFICATION
 *	  src/worker/queues.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <limits.h>

#include "miscadmin.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

#include "outbox/pause.h"
#include "shmem/stat_queue.h"
#include "worker/queues.h"
#include "worker/roster.h"

static List *queues = NIL;		/* of RfQueueEntry */
static int64 all_paused_until_us = 0;

static void tell(RfQueueEntry *queue);
static void apply(const RfPause *pause, int64 until_us);
static bool is_account(const RfPause *pause, const RfRosterEntry *entry);

void
rf_queues_refresh(void)
{
	List	   *pauses = rf_pause_list();
	int64		now_us = rf_gate_now_us();
	TimestampTz now = GetCurrentTimestamp();
	ListCell   *lc;

	all_paused_until_us = 0;
	foreach(lc, queues)
	{
		((RfQueueEntry *) lfirst(lc))->concurrency = 0;
		((RfQueueEntry *) lfirst(lc))->paused_until_us = 0;
	}
	for (int i = 0; rf_roster_at(i) != NULL; i++)
		rf_roster_at(i)->paused_until_us = 0;

	foreach(lc, rf_pause_bounds())
	{
		const RfQueueBound *bound = lfirst(lc);

		rf_queues_find(bound->name)->concurrency = bound->concurrency;
	}
	foreach(lc, pauses)
	{
		const RfPause *pause = lfirst(lc);

		if (pause->until > now)
			apply(pause, TIMESTAMP_NOT_FINITE(pause->until) ? INT64_MAX : now_us + (pause->until - now));
	}
}

RfQueueEntry *
rf_queues_find(const char *name)
{
	RfQueueEntry *queue;
	MemoryContext old;
	ListCell   *lc;

	foreach(lc, queues)
	{
		queue = lfirst(lc);
		if (strcmp(queue->name, name) == 0)
			return queue;
	}
	old = MemoryContextSwitchTo(TopMemoryContext);
	queue = palloc0(sizeof(RfQueueEntry));
	queue->name = pstrdup(name);
	queue->stat = rf_stat_queue_place(MyDatabaseId, name);
	queues = lappend(queues, queue);
	MemoryContextSwitchTo(old);
	return queue;
}

RfQueueEntry *
rf_queues_enter(const char *name)
{
	RfQueueEntry *queue = rf_queues_find(name);

	queue->in_flight++;
	tell(queue);
	return queue;
}

void
rf_queues_leave(RfQueueEntry *queue)
{
	if (queue == NULL)
		return;
	queue->in_flight--;
	tell(queue);
}

static void
tell(RfQueueEntry *queue)
{
	if (queue->stat != NULL)
		rf_stat_queue_running(queue->stat, queue->in_flight);
}

int
rf_queues_in_flight(void)
{
	int			count = 0;
	ListCell   *lc;

	foreach(lc, queues)
		count += ((RfQueueEntry *) lfirst(lc))->in_flight;
	return count;
}

bool
rf_queues_paused(RfQueueEntry *queue)
{
	int64		opens_at_us;

	(void) rf_queues_room(queue, rf_gate_now_us(), &opens_at_us);
	return opens_at_us > 0;
}

int
rf_queues_room(RfQueueEntry *queue, int64 now_us, int64 *opens_at_us)
{
	int64		until_us = Max(queue->paused_until_us, all_paused_until_us);

	*opens_at_us = 0;
	if (until_us > now_us)
	{
		*opens_at_us = until_us;
		return 0;
	}
	return queue->concurrency == 0 ? INT_MAX : Max(queue->concurrency - queue->in_flight, 0);
}

static void
apply(const RfPause *pause, int64 until_us)
{
	RfQueueEntry *queue;

	switch (pause->kind)
	{
		case RF_PAUSE_QUEUE:
			queue = rf_queues_find(pause->name);
			queue->paused_until_us = Max(queue->paused_until_us, until_us);
			return;
		case RF_PAUSE_ALL:
			all_paused_until_us = Max(all_paused_until_us, until_us);
			break;
		case RF_PAUSE_ACCOUNT:
			break;
	}
	for (int i = 0; rf_roster_at(i) != NULL; i++)
	{
		RfRosterEntry *entry = rf_roster_at(i);

		if (pause->kind == RF_PAUSE_ALL || is_account(pause, entry))
			entry->paused_until_us = Max(entry->paused_until_us, until_us);
	}
}

/* A server that was renamed is still the one that was paused. */
static bool
is_account(const RfPause *pause, const RfRosterEntry *entry)
{
	if (rf_roster_find_server(pause->server) != NULL)
		return pause->server == entry->server;
	return entry->present && strcmp(pause->name, entry->name) == 0;
}
