/*-------------------------------------------------------------------------
 *
 * limit.h
 *	  Rate windows that all processes share.
 *
 * One window for each limit of the table rate_limit, or for each key of one
 * that counts by key, by (database, server, limit, hash of the key).  They
 * live in an area of roleferry.limiter_memory and survive the dispatcher.
 * Only the dispatcher of a database changes its windows; anybody may look.
 * Times are those of rf_gate_now_us().
 *
 * A token can be taken only after it was granted: its block stands in the
 * table rate_use by then, so that a crash forgets no use.
 *
 *-------------------------------------------------------------------------
 */
#ifndef ROLEFERRY_LIMIT_H
#define ROLEFERRY_LIMIT_H

#include "core/rate_window.h"

/* Windows that one request can count in. */
#define RF_LIMITS_MAX	16

/* A limit that counts by key has a window for each: key_hash is not 0. */
typedef struct RfLimitKey
{
	Oid			database;
	Oid			server;
	int64		limit_id;
	uint64		key_hash;
} RfLimitKey;

typedef struct RfLimitTerms
{
	uint32		max;
	int64		per_us;
	bool		pace;
} RfLimitTerms;

typedef struct RfLimit
{
	RfLimitKey	key;
	int32		next;			/* first unit of the next in its bucket, or -1 */
	int32		nunits;
	uint32		granted;		/* durable tokens that were not taken yet */
	uint32		wanted;			/* by the claim under way */
	int64		granted_until_us;	/* later they are void */
	uint64		stamp;			/* when its dispatcher last looked it up */
} RfLimit;						/* the RfRateWindow follows */

typedef struct RfLimitView
{
	RfLimitKey	key;
	uint32		used;
	uint32		free;			/* pacing not considered */
	int64		next_us;		/* when a request may begin; 0: now */
} RfLimitView;

extern Size rf_limit_shared_size(void);
extern void rf_limit_shared_create(void *lock);

/* Units of memory that a window of so many requests takes; that there are. */
extern int	rf_limit_units(uint32 max);
extern int	rf_limit_total_units(void);

/* Units that limits of other databases hold, not counting windows by key. */
extern int	rf_limit_units_elsewhere(Oid database);

/* For as long as the caller does not call this again, no window it obtains goes away. */
extern void rf_limit_begin(void);

/*
 * The window, made or changed to these terms; *made: it is new and empty.
 * NULL: there is no memory for it.
 */
extern RfLimit *rf_limit_obtain(const RfLimitKey *key, const RfLimitTerms *terms,
								bool *made);

extern RfLimitTerms rf_limit_terms(RfLimit *limit);

/* Forget the windows of other limits of this database. */
extern void rf_limit_keep(Oid database, const int64 *ids, int nids);

/* Requests of a dispatcher that died end now. */
extern void rf_limit_abandon(Oid database, int64 now_us);

/* How many requests may begin now, and when one may (0: now). */
extern uint32 rf_limit_room(RfLimit *limit, int64 now_us, int64 *next_us);

/* When will it be the turn of one that waits? */
extern int64 rf_limit_turn(RfLimit *limit, int64 now_us, RfRateWaiter waiter);

/* Take a granted token of each, or of none. */
extern bool rf_limit_take(RfLimit **limits, int nlimits, int64 now_us);

/* The request has ended, or never left: then the token is free again. */
extern void rf_limit_end(const RfLimitKey *keys, int nkeys, bool left,
						 int64 now_us);

/* Tokens that lack until those that are wanted can be taken. */
extern uint32 rf_limit_lacking(RfLimit *limit, int64 now_us, uint32 *outstanding);
extern void rf_limit_grant(const RfLimitKey *key, uint32 tokens, int64 until_us);

/* Use of another life: so many requests ended then. */
extern void rf_limit_add(RfLimit *limit, uint32 count, int64 ended_us);

/* The provider says how many are left of a window of such a length. */
extern void rf_limit_clamp(Oid database, Oid server, int64 per_us, uint32 left,
						   int64 now_us);

/*
 * Is a window of the account full, leaving aside those by key?  *next_us: when
 * it is no longer; 0: as soon as a request has ended.
 */
extern bool rf_limit_is_full(Oid database, Oid server, int64 now_us,
							 int64 *next_us);

/* All windows of a database, palloc'd. */
extern int	rf_limit_list(Oid database, RfLimitView **views, int64 now_us);

#endif							/* ROLEFERRY_LIMIT_H */
