/*-------------------------------------------------------------------------
 *
 * order.h
 *	  Jobs with an order_key: one at a time, in the order of their ids.
 *
 * A job that finds others of its key is parked: it stands in a lane of the key's
 * own, below 0, where neither claims nor sweeps of the other lanes ever look.
 * When it is its turn and it is due, it is claimed from there, by its id; what
 * is not due, or runs alone, is put into its lane first.  Whose turn it is
 * follows from the table alone: nothing of the key runs, and no smaller id is
 * there.
 *
 * All functions but the first two run in the dispatcher's transactions,
 * connected to SPI.
 *
 *-------------------------------------------------------------------------
 */
#ifndef ROLEFERRY_ORDER_H
#define ROLEFERRY_ORDER_H

#include "storage/itemptr.h"

#include "outbox/claim.h"
#include "outbox/job.h"
#include "outbox/sweep.h"

/* What the dispatcher remembers of a key. */
typedef struct RfOrderKey
{
	int64		lane;			/* of its parked jobs: stands for the key */
	char	   *role;
	char	   *name;			/* the order_key; NULL: not known */
	int64		running;		/* job; 0: none */
	int64		chosen;			/* job whose turn it is; 0: not known */
	int64		low;			/* no job of it stands before this id */
	int64		last;			/* no job of it stands behind this one; 0: not
								 * known */
} RfOrderKey;

/* A job, and where its row stood when it was seen. */
typedef struct RfOrderPlace
{
	int64		id;
	ItemPointerData at;			/* invalid: not known */
} RfOrderPlace;

/* The first job of a key. */
typedef struct RfOrderHead
{
	int64		id;				/* 0: there is none */
	ItemPointerData at;			/* its row; invalid: not known */
	bool		last;			/* nothing stands behind it */
	int64		lane;			/* where it is, or belongs when parked */
	int			priority;
	TimestampTz run_at;
	bool		running;
	bool		parked;
	bool		let_go;			/* it was parked and is no longer */
	RfStrandJob job;			/* of what is parked: what its route is of */
} RfOrderHead;

/* Hash of the key, below 0: where its jobs are parked. */
extern int64 rf_order_lane(const char *role, const char *name);

/*
 * In a session, before its row is inserted: park the job if others of its key
 * are there, and tell the dispatcher where to look when this commits.
 */
extern void rf_order_place(RfJobDraft *draft, int64 id);

/*
 * In a session, after a job has become a dead letter: when this commits, the
 * next of its key may have its turn.
 */
extern void rf_order_note_ended(int64 id);

/* Fill in the names of keys from the jobs parked; what has none keeps NULL. */
extern void rf_order_find_names(RfOrderKey **keys, int nkeys);

/* The first job of each key, from its mark on. */
extern void rf_order_find_heads(RfOrderKey **keys, int nkeys, RfOrderHead *heads);

/* Put heads that are parked into their lanes, unless somebody has them locked. */
extern void rf_order_let_go(RfOrderHead *heads, int nheads);

/*
 * Claim jobs that are parked, as rf_claim_jobs() claims those of a strand.  What
 * somebody has locked, or is due later by now, is not claimed.
 */
extern List *rf_order_claim(int64 incarnation, const RfOrderPlace *places, int nplaces,
							TimestampTz now, MemoryContext parent);

/*
 * Of jobs just claimed: is a smaller id there, does another one run?  What is
 * the last of its key becomes its key's last.
 */
extern void rf_order_check(RfClaimedJob **jobs, RfOrderKey **keys, int njobs,
						   bool *follows, bool *held);

/* Not their turn: as if they had not been claimed, and parked. */
extern void rf_order_park(RfClaimedJob **jobs, int njobs, int64 incarnation);

/* Lanes of parked jobs after this one; returns how many. */
extern int	rf_order_parked_lanes(int64 after, int64 *lanes, int max);

/* Which of these jobs run? */
extern void rf_order_find_running(const int64 *ids, int nids, bool *running);

/* RfClaimedJob, only their keys and ids, that batches have in hand. */
extern List *rf_order_in_batches(void);

#endif							/* ROLEFERRY_ORDER_H */
