/*-------------------------------------------------------------------------
 *
 * limit.h
 *	  Rate windows that all processes share.
 *
 * One window for each rate limit, or for each key of one that counts by key, by
 * (database, limit, hash of the key).  They
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
	bool		credits;		/* it counts credits, not requests: a budget */
} RfLimitTerms;

typedef struct RfLimit
{
	RfLimitKey	key;
	int32		next;			/* first unit of the next in its bucket, or -1 */
	int32		nunits;
	uint32		granted;		/* durable tokens that were not taken yet */
	uint32		wanted;			/* by the claim under way */
	int64		granted_until_us;	/* later they are void */
	uint32		owed;			/* credits that a request cost beyond what was
								 * granted: the next grant writes them down */
	bool		whole;			/* full, it closes its account */
	uint64		stamp;			/* when its dispatcher last looked it up */
} RfLimit;						/* the RfRateWindow follows */

/* What a request takes of a window. */
typedef struct RfLimitShare
{
	RfLimit    *limit;
	uint32		tokens;
} RfLimitShare;

/* What a request has taken of one. */
typedef struct RfLimitHold
{
	RfLimitKey	key;
	uint32		tokens;
	bool		credits;
} RfLimitHold;

typedef struct RfLimitView
{
	RfLimitKey	key;
	uint32		used;
	uint32		free;			/* pacing not considered */
	int64		next_us;		/* when a request may begin; 0: now */
} RfLimitView;

extern Size rf_limit_shared_size(void);
extern void rf_limit_shared_create(void *lock);

/* Units of memory that a window of so many tokens takes; that there are. */
extern int	rf_limit_units(uint32 max, bool credits);
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

/* How many tokens there are now, and when so many can be taken (0: now). */
extern uint32 rf_limit_room(RfLimit *limit, uint32 tokens, int64 now_us,
							int64 *next_us);

/* When will it be the turn of one that waits? */
extern int64 rf_limit_turn(const RfLimitShare *share, int64 now_us,
						   RfRateWaiter waiter);

/* Take granted tokens of each, or of none. */
extern bool rf_limit_take(const RfLimitShare *shares, int nshares, int64 now_us);

/*
 * The request has ended and cost so many credits; or it never left: then its
 * tokens are free again.
 */
extern void rf_limit_end(const RfLimitHold *holds, int nholds, bool left,
						 uint32 credits, int64 now_us);

/* Tokens that lack until those that are wanted can be taken. */
extern uint32 rf_limit_lacking(RfLimit *limit, int64 now_us, uint32 *outstanding);
extern void rf_limit_grant(const RfLimitKey *key, uint32 tokens, int64 until_us);

/* Use of another life: so many requests ended then. */
extern void rf_limit_add(RfLimit *limit, uint32 count, int64 ended_us);

/* The provider says how many requests are left of it. */
extern void rf_limit_clamp(RfLimit *limit, uint32 left, int64 now_us);

/* Does a full window close the account?  *next_us: until when; 0: not known. */
extern bool rf_limit_is_full(Oid database, Oid server, int64 now_us,
							 int64 *next_us);

/* All windows of a database, palloc'd. */
extern int	rf_limit_list(Oid database, RfLimitView **views, int64 now_us);

#endif							/* ROLEFERRY_LIMIT_H */
