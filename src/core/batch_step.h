/*-------------------------------------------------------------------------
 *
 * batch_step.h
 *	  The way of a batch: what follows from what its last request proved.
 *
 * A batch is one paid request at a provider for many jobs of ours.  It is sent
 * once; whatever is asked afterwards changes nothing at the provider and may be
 * asked again.
 *
 *	SEND --taken--> POLL --complete--> FETCH --last page--> DONE
 *	  |  \             \--over-----------------------------> FAILED
 *	  |   \--nobody knows--> FIND --there--> POLL
 *	  |                        \--clearly not there--------> REFUSED
 *	  \--proven not taken----------------------------------> REFUSED, FAILED
 *
 * REFUSED lets its jobs go back, to be asked for anew.  Whoever cannot tell in
 * time ends as UNKNOWN: it is never sent again in silence.
 *
 * Pure logic: no PostgreSQL headers, no allocation, no clock.
 *
 *-------------------------------------------------------------------------
 */
#ifndef ROLEFERRY_BATCH_STEP_H
#define ROLEFERRY_BATCH_STEP_H

#include "core/outcome.h"

typedef enum RfBatchStep
{
	RF_BATCH_SEND,				/* the request that pays may be out */
	RF_BATCH_FIND,				/* was it taken? */
	RF_BATCH_POLL,				/* is it complete? */
	RF_BATCH_FETCH,				/* page by page */
	RF_BATCH_DONE,
	RF_BATCH_REFUSED,			/* never taken: its jobs are asked for anew */
	RF_BATCH_FAILED,
	RF_BATCH_UNKNOWN
} RfBatchStep;

/* Clear answers "there is none" that prove that a lost request never arrived. */
#define RF_BATCH_MISSES		3

typedef struct RfBatchFacts
{
	RfBatchStep step;			/* of the request that has ended */
	bool		can_find;		/* the provider can be asked for a lost one */
	bool		answers_at_once;	/* the answer to SEND holds the results */
	bool		more;			/* further pages follow */
	int			tries;			/* of this step before, without progress */
	int			misses;			/* of FIND, before */
	int64_t		age_us;			/* since it was sent */
	int64_t		give_up_us;
	int64_t		poll_us;		/* the first interval */
	int64_t		retry_after_max_s;
} RfBatchFacts;

typedef struct RfBatchNext
{
	RfBatchStep step;
	int64_t		delay_us;		/* until its request */
	bool		charge;			/* REFUSED: a failure of its jobs' own */
} RfBatchNext;

extern RfBatchNext rf_batch_next(const RfBatchFacts *facts,
								 const RfOutcome *outcome);

extern bool rf_batch_is_over(RfBatchStep step);

/* Stable lower-case words, as in roleferry.batch; of others UNKNOWN. */
extern const char *rf_batch_step_text(RfBatchStep step);
extern RfBatchStep rf_batch_step_of(const char *text);

#endif							/* ROLEFERRY_BATCH_STEP_H */
