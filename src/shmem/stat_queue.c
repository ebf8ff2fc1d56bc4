/*-------------------------------------------------------------------------
 *
 * stat_queue.c
 *	  What the queues of a database hold and have done: shared memory.
 *
 * IDENTIFICATION
 *	  src/shmem/stat_queue.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "miscadmin.h"

#include "shmem/gate.h"
#include "shmem/stat_area.h"

static RfStatArea *area = NULL;

static void count_in(RfStatRate *rate, uint32 n);
static double per_second(RfStatRate *rate);

void
rf_stat_queue_attach(RfStatArea *shared)
{
	area = shared;
}

RfStatQueue *
rf_stat_queue_place(Oid database, const char *name)
{
	RfStatQueue *found = NULL;
	RfStatQueue *unused = NULL;

	if (strlen(name) > RF_QUEUE_NAME_MAX)
		return NULL;
	LWLockAcquire(area->lock, LW_EXCLUSIVE);
	for (int i = 0; i < RF_STAT_QUEUES && found == NULL; i++)
	{
		RfStatQueue *queue = &area->queues[i];

		if (queue->database == database && strcmp(queue->name, name) == 0)
			found = queue;
		else if (queue->database == InvalidOid && unused == NULL)
			unused = queue;
	}
	if (found == NULL && unused != NULL)
	{
		found = unused;
		rf_stat_queue_clear(found);
		strlcpy(found->name, name, sizeof(found->name));
		found->database = database;
	}
	LWLockRelease(area->lock);
	return found;
}

void
rf_stat_queue_count(Oid database, const char *name, RfStatJob what, uint64 count)
{
	static RfStatQueue *last = NULL;
	RfStatQueue *queue = last;

	if (queue == NULL || queue->database != database || strcmp(queue->name, name) != 0)
		queue = rf_stat_queue_place(database, name);
	if (queue == NULL)
		return;
	last = queue;
	pg_atomic_fetch_add_u64(&queue->jobs[what], count);
	if (what != RF_STAT_RETRIED)
	{
		count_in(&queue->ended, (uint32) count);
		rf_stat_queue_add(queue, -(int64) count);
	}
	if (what == RF_STAT_FAILED)
		count_in(&queue->failed, (uint32) count);
}

void
rf_stat_queue_running(RfStatQueue *queue, int running)
{
	pg_atomic_write_u32(&queue->running, (uint32) Max(running, 0));
}

void
rf_stat_queue_depth(RfStatQueue *queue, const RfQueueDepth *depth)
{
	SpinLockAcquire(&queue->depth_lock);
	queue->depth = *depth;
	SpinLockRelease(&queue->depth_lock);
}

void
rf_stat_queues_unknown(Oid database)
{
	RfQueueDepth unknown = {0};

	for (int i = 0; i < RF_STAT_QUEUES; i++)
	{
		RfStatQueue *queue = &area->queues[i];

		if (queue->database != database)
			continue;
		rf_stat_queue_running(queue, 0);
		rf_stat_queue_depth(queue, &unknown);
	}
}

void
rf_stat_queues_rest_empty(Oid database, TimestampTz at)
{
	RfQueueDepth empty = {.at = at};

	for (int i = 0; i < RF_STAT_QUEUES; i++)
	{
		RfStatQueue *queue = &area->queues[i];

		if (queue->database == database && queue->depth.at != at)
			rf_stat_queue_depth(queue, &empty);
	}
}

bool
rf_stat_next_queue(Oid database, int *i, RfStatQueueView *view)
{
	bool		found = false;

	LWLockAcquire(area->lock, LW_SHARED);
	for (; *i < RF_STAT_QUEUES && !found; (*i)++)
	{
		RfStatQueue *queue = &area->queues[*i];

		if (queue->database != database)
			continue;
		strlcpy(view->name, queue->name, sizeof(view->name));
		for (int j = 0; j < RF_STAT_JOBS; j++)
			view->jobs[j] = pg_atomic_read_u64(&queue->jobs[j]);
		view->running = pg_atomic_read_u32(&queue->running);
		view->ended_per_s = per_second(&queue->ended);
		view->failed_per_s = per_second(&queue->failed);
		SpinLockAcquire(&queue->depth_lock);
		view->depth = queue->depth;
		SpinLockRelease(&queue->depth_lock);
		found = true;
	}
	LWLockRelease(area->lock);
	return found;
}

int64
rf_stat_queue_held(RfStatQueue *queue, TimestampTz *at)
{
	*at = (TimestampTz) pg_atomic_read_u64(&queue->held_at);
	return Max((int64) pg_atomic_read_u64(&queue->held), 0);
}

void
rf_stat_queue_add(RfStatQueue *queue, int64 count)
{
	if (pg_atomic_read_u64(&queue->held_at) != 0)
		(void) pg_atomic_fetch_add_u64(&queue->held, count);
}

/* What came and went meanwhile stays counted. */
void
rf_stat_queue_recounted(RfStatQueue *queue, int64 was, int64 found, TimestampTz at)
{
	(void) pg_atomic_fetch_add_u64(&queue->held, found - was);
	pg_atomic_write_u64(&queue->held_at, (uint64) at);
}

/* The place is free then. */
void
rf_stat_queue_clear(RfStatQueue *queue)
{
	memset(queue, 0, sizeof(*queue));
	for (int i = 0; i < RF_STAT_JOBS; i++)
		pg_atomic_init_u64(&queue->jobs[i], 0);
	for (int i = 0; i < RF_METER_CELLS; i++)
	{
		pg_atomic_init_u64(&queue->ended.cells[i], 0);
		pg_atomic_init_u64(&queue->failed.cells[i], 0);
	}
	pg_atomic_init_u32(&queue->running, 0);
	pg_atomic_init_u64(&queue->held, 0);
	pg_atomic_init_u64(&queue->held_at, 0);
	SpinLockInit(&queue->depth_lock);
}

/* What it has done begins anew; what it holds stays. */
void
rf_stat_queue_reset(RfStatQueue *queue)
{
	for (int i = 0; i < RF_STAT_JOBS; i++)
		pg_atomic_write_u64(&queue->jobs[i], 0);
	for (int i = 0; i < RF_METER_CELLS; i++)
	{
		pg_atomic_write_u64(&queue->ended.cells[i], 0);
		pg_atomic_write_u64(&queue->failed.cells[i], 0);
	}
}

/* Executors count, too. */
static void
count_in(RfStatRate *rate, uint32 n)
{
	int64		now_us = rf_gate_now_us();
	pg_atomic_uint64 *cell = &rate->cells[rf_meter_cell(now_us)];
	uint64		before = pg_atomic_read_u64(cell);

	while (!pg_atomic_compare_exchange_u64(cell, &before, rf_meter_add(before, now_us, n)))
		;
}

static double
per_second(RfStatRate *rate)
{
	uint64		cells[RF_METER_CELLS];

	for (int i = 0; i < RF_METER_CELLS; i++)
		cells[i] = pg_atomic_read_u64(&rate->cells[i]);
	return rf_meter_per_second((const uint64_t *) cells, rf_gate_now_us());
}
