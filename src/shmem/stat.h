/*-------------------------------------------------------------------------
 *
 * stat.h
 *	  What accounts have done: counters in shared memory.
 *
 * Each account has one writer, the dispatcher of its database, and any number
 * of readers: counters are atomic and need no lock, and may be a request apart
 * from each other when they are read.  They survive the dispatcher and, through
 * a file that is written when the server stops and removed when it starts, a
 * clean restart; a crash begins them anew.
 *
 *-------------------------------------------------------------------------
 */
#ifndef ROLEFERRY_STAT_H
#define ROLEFERRY_STAT_H

#include "datatype/timestamp.h"

#include "core/histogram.h"
#include "core/outcome.h"

#define RF_OUTCOME_CLASSES	(RF_OUTCOME_MALFORMED + 1)

/* One transfer that is over. */
typedef struct RfStatTransfer
{
	RfOutcomeClass class;
	const char *reason;			/* of a failure: no secret, no address */
	int			http_status;
	uint64		sent_bytes;		/* bodies */
	uint64		received_bytes;
	bool		reused;			/* it went out on a kept-alive connection */
	int64		took_us;
} RfStatTransfer;

/* What became of jobs. */
typedef enum RfStatJob
{
	RF_STAT_SENT,				/* a mail */
	RF_STAT_DONE,				/* another job */
	RF_STAT_FAILED,
	RF_STAT_UNKNOWN,
	RF_STAT_RETRIED,			/* it waits again */
	RF_STAT_OTHER				/* expired, suppressed, cancelled */
} RfStatJob;

#define RF_STAT_JOBS		(RF_STAT_OTHER + 1)

/* What became of an event that a webhook brought. */
typedef enum RfStatEvent
{
	RF_STAT_EVENT_ACCEPTED,
	RF_STAT_EVENT_DUPLICATE,
	RF_STAT_EVENT_FAILED
} RfStatEvent;

#define RF_STAT_EVENTS		(RF_STAT_EVENT_FAILED + 1)
#define RF_STAT_EVENT_KINDS	16	/* room for provider/events.h */

/* As read. */
typedef struct RfStatAccountView
{
	Oid			server;
	TimestampTz since;			/* first counted, or last reset */
	uint64		outcomes[RF_OUTCOME_CLASSES];
	uint64		latency[RF_HISTOGRAM_BUCKETS];
	uint64		latency_sum_us;
	uint64		sent_bytes;
	uint64		received_bytes;
	uint64		reused;
	TimestampTz failed_at;		/* 0: never */
	RfOutcomeClass failed_class;
	int			failed_status;	/* HTTP; 0: none */
	char		failed_reason[RF_REASON_MAX + 1];
} RfStatAccountView;

/* Called by shared.c; the lock protects who has which place. */
extern Size rf_stat_shared_size(void);
extern void rf_stat_shared_create(void *lock);

/* In the dispatcher.  An account that finds no place is not counted. */
extern void rf_stat_transfer(Oid database, Oid server,
							 const RfStatTransfer *transfer);

/* So many jobs of the queue ended like that; by any process. */
extern void rf_stat_job(Oid database, const char *queue, RfStatJob what,
						uint64 count);

/* Account number i (from 0) of the database; false: there are no more. */
extern bool rf_stat_next(Oid database, int *i, RfStatAccountView *view);

/* Jobs of the database by what became of them. */
extern void rf_stat_jobs(Oid database, uint64 jobs[RF_STAT_JOBS]);

/* Of these, those that became dead letters. */
static inline uint64
rf_stat_dead_letters(const uint64 jobs[RF_STAT_JOBS])
{
	return jobs[RF_STAT_FAILED] + jobs[RF_STAT_UNKNOWN] + jobs[RF_STAT_OTHER];
}

/* Begin anew; server InvalidOid: all of the database. */
extern void rf_stat_reset(Oid database, Oid server);

/* Forget the places of servers that no longer exist, of one database. */
extern void rf_stat_forget_missing(Oid database, const Oid *servers, int nservers);

#endif							/* ROLEFERRY_STAT_H */
