/*-------------------------------------------------------------------------
 *
 * stat_area.h
 *	  What stat.c and stat_file.c know about the memory of the counters.
 *
 *-------------------------------------------------------------------------
 */
#ifndef ROLEFERRY_STAT_AREA_H
#define ROLEFERRY_STAT_AREA_H

#include "port/atomics.h"
#include "storage/lwlock.h"
#include "storage/spin.h"

#include "core/meter.h"
#include "shmem/shared.h"
#include "shmem/stat.h"
#include "shmem/stat_queue.h"

typedef struct RfStatFailure
{
	TimestampTz at;				/* 0: none yet */
	RfOutcomeClass class;
	int			http_status;
	char		reason[RF_REASON_MAX + 1];
} RfStatFailure;

typedef struct RfStatAccount
{
	Oid			database;		/* InvalidOid: free */
	Oid			server;
	TimestampTz since;
	pg_atomic_uint64 outcomes[RF_OUTCOME_CLASSES];
	pg_atomic_uint64 latency[RF_HISTOGRAM_BUCKETS];
	pg_atomic_uint64 latency_sum_us;
	pg_atomic_uint64 sent_bytes;
	pg_atomic_uint64 received_bytes;
	pg_atomic_uint64 reused;
	slock_t		failure_lock;	/* held for copying */
	RfStatFailure failure;
} RfStatAccount;

typedef struct RfStatDatabase
{
	Oid			database;		/* InvalidOid: free */
	pg_atomic_uint64 jobs[RF_STAT_JOBS];
	pg_atomic_uint64 events[RF_STAT_EVENT_KINDS][RF_STAT_EVENTS];
} RfStatDatabase;

typedef struct RfStatRate
{
	pg_atomic_uint64 cells[RF_METER_CELLS];
} RfStatRate;

struct RfStatQueue
{
	Oid			database;		/* InvalidOid: free */
	char		name[RF_QUEUE_NAME_MAX + 1];
	pg_atomic_uint64 jobs[RF_STAT_JOBS];
	RfStatRate	ended;
	RfStatRate	failed;
	pg_atomic_uint32 running;
	slock_t		depth_lock;		/* held for copying */
	RfQueueDepth depth;
	pg_atomic_uint64 held;		/* jobs in the outbox; only kept where there
								 * is a max_depth */
	pg_atomic_uint64 held_at;	/* when they were counted one by one, last; 0:
								 * not yet */
};

typedef struct RfStatArea
{
	LWLock	   *lock;			/* who has which place */
	int			naccounts;
	RfStatDatabase databases[RF_MAX_DISPATCHERS];
	RfStatQueue queues[RF_STAT_QUEUES];
	RfStatAccount accounts[FLEXIBLE_ARRAY_MEMBER];
} RfStatArea;

/* Read a place's numbers. */
extern void rf_stat_view(RfStatAccount *account, RfStatAccountView *view);

/* stat.c: NULL: there is no place left. */
extern RfStatDatabase *rf_stat_database_place(Oid database);

/* stat_queue.c, for stat.c */
extern void rf_stat_queue_attach(RfStatArea *shared);
extern void rf_stat_queue_count(Oid database, const char *name, RfStatJob what,
								uint64 count);
extern void rf_stat_queue_clear(RfStatQueue *queue);
extern void rf_stat_queue_reset(RfStatQueue *queue);

/*
 * In the postmaster.  Reading takes the file's numbers and removes it, so that
 * a crash does not bring them back; a file that cannot be read is left out,
 * with a line in the log.
 */
extern void rf_stat_file_read(RfStatArea *area);
extern void rf_stat_file_write(RfStatArea *area);

#endif							/* ROLEFERRY_STAT_AREA_H */
