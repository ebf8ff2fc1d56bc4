/*-------------------------------------------------------------------------
 *
 * claim.h
 *	  Making jobs ours, durably, before their first byte leaves.
 *
 * All functions run inside the dispatcher's own short transactions, connected
 * to SPI; results are palloc'd in the context given.
 *
 *-------------------------------------------------------------------------
 */
#ifndef ROLEFERRY_CLAIM_H
#define ROLEFERRY_CLAIM_H

#include "core/lanes.h"
#include "core/mode.h"
#include "core/outcome.h"
#include "datatype/timestamp.h"
#include "nodes/pg_list.h"
#include "utils/jsonb.h"

/* A job as the dispatcher has it in hand. */
typedef struct RfClaimedJob
{
	int64		id;
	int64		lane;
	int			priority;
	TimestampTz run_at;
	TimestampTz created_at;
	TimestampTz expires_at;		/* DT_NOEND: never */
	int			attempts;		/* this one included */
	int			failures;
	int			max_attempts;	/* 0: the job does not say */
	RfDelivery	delivery;
	RfMode		mode;			/* it was enqueued under */
	char	   *role;
	char	   *task;
	char	   *tenant_key;		/* or empty */
	char	   *queue;			/* or empty */
	char	   *order_key;		/* or NULL */
	int64		order_lane;		/* where its followers are parked; 0: it has
								 * no order_key */
	bool		on_done;		/* a task is to be told of its end */
	List	   *accounts;		/* char * */
	Jsonb	   *args;			/* detoasted */
} RfClaimedJob;

/*
 * Claim up to n due jobs of a strand and move its mark on.  Returns a list of
 * RfClaimedJob in order of (run_at, id), each with a context of its own under
 * parent (its palloc parent is found with GetMemoryChunkContext).
 */
extern List *rf_claim_jobs(int64 incarnation, RfStrand *strand, int n,
						   TimestampTz now, MemoryContext parent);

/*
 * Jobs that are ours already go out once more (to their next account): count
 * the attempt.  Returns the ids (int64, palloc'd) that are still ours.
 */
extern int	rf_claim_again(int64 incarnation, const int64 *ids, int nids,
						   int64 *still_ours);

/*
 * After a claim that may have failed half-way: whatever carries our
 * incarnation but is not in hand never left; give it back.
 */
extern uint64 rf_claim_give_back_unknown(int64 incarnation, const int64 *in_hand,
										 int nin_hand);

/* The jobs of a batch that is over are in this dispatcher's hands again. */
extern List *rf_claim_from_batch(int64 incarnation, int64 batch_id, MemoryContext parent);

#endif							/* ROLEFERRY_CLAIM_H */
