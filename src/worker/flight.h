/*-------------------------------------------------------------------------
 *
 * flight.h
 *	  One job under way: from its claim to its settlement.
 *
 *-------------------------------------------------------------------------
 */
#ifndef ROLEFERRY_FLIGHT_H
#define ROLEFERRY_FLIGHT_H

#include "lib/ilist.h"
#include "outbox/claim.h"
#include "outbox/settle.h"
#include "outbox/suppression.h"
#include "shmem/limit.h"
#include "worker/roster.h"

struct RfCall;

typedef struct RfFlight
{
	RfTransfer	transfer;		/* first: the engine hands it back */
	RfClaimedJob *job;
	RfQueueEntry *queue;		/* of the job; it counts there */
	MemoryContext context;		/* holds this struct and the job */
	uint32		tried;			/* accounts refused so far, by position */
	RfMode		mode;			/* the strictest of its own and the server's */
	bool		tests;			/* it is to carry the provider's test flag */
	char	   *suppressed;		/* why its recipient gets no mail; NULL: he
								 * does */
	List	   *taken_off;		/* of cc and bcc: addresses (char *) that get
								 * none */
	bool		ownerless;		/* the role it runs in the name of is gone */
	uint32		usable;			/* accounts the job's role may use */
	RfRosterEntry *entry;		/* of the transfer under way */
	int			position;		/* of entry in job->accounts */
	uint32		generation;		/* of entry's gate when it was entered */
	unsigned long secret_version;
	bool		secret_reread;	/* a refused key was read again once */
	TimestampTz started_at;
	const char *endpoint;		/* what rate limits call it; NULL: the job's
								 * task, or apollo_search */
	uint32		cost;			/* credits it is taken to cost, said before it
								 * starts; 0: as the account's cost_per_call
								 * says */
	bool		spent_known;	/* its answer said what it cost: */
	uint32		spent;
	RfLimitHold *held;			/* windows it has tokens of */
	int			nheld;
	struct RfCall *call;		/* somebody waits for it; or NULL */
	struct RfCallSlot *asker;	/* no job, but a question: who waits for it */
	List	   *followers;		/* of RfCallSlot: they asked the same */
	struct RfSearchRun *search; /* a job that searches people, until it has
								 * found them */
	struct RfQuestion *question;	/* of an asker, or such a job */
	void	   *question_bytes; /* as it was handed over */
	Size		question_len;
	dlist_node	asked;			/* in the dispatcher's list of questions */
	bool		looked_around;	/* for the account of the question */
	bool		wants_grant;	/* a question that waits for a claim to grant
								 * it a token */
	int			slot;			/* index in the dispatcher's array */
	bool		aborted;		/* we gave up on it: no fault of the account's */
	struct RfBatchRun *batch;	/* no job, but a batch: see batches.h */
	bool		gathers;		/* a job that never flies: a batch asks for it */
	bool		claimed_again;	/* its next attempt is in the claim under way */
} RfFlight;

/* What became of an attempt to start. */
typedef enum RfStart
{
	RF_START_FLYING,
	RF_START_FINISHED,			/* over at once: read the transfer as any
								 * other */
	RF_START_CANNOT,			/* no account is open now: *settlement gives
								 * it back */
	RF_START_DEAD				/* never can: *settlement says why */
} RfStart;

/* In the claim's transaction: which of its accounts may the role use? */
extern RfFlight *rf_flight_create(RfClaimedJob *job);

/*
 * Choose an account, render, start.  now: wall clock.  Outside a transaction
 * unless the encoding needs one.
 */
extern RfStart rf_flight_start(RfFlight *flight, RfHttpEngine *engine,
							   const char *installation,
							   RfSettlement *settlement);

/*
 * The transfer is over: classify, tell the account's gate, decide.  Fills
 * *settlement (memory of the current context).  True: the job goes on to its
 * next account, once the attempt is claimed again; the settlement then only
 * records this attempt.
 */
extern bool rf_flight_land(RfFlight *flight, RfHttpEngine *engine,
						   bool draining, RfSettlement *settlement);

/* Ends that need no transfer. */
extern RfStart rf_flight_give_back(RfFlight *flight, RfSettlement *settlement);
extern RfStart rf_flight_bury(RfFlight *flight, const char *state, const char *reason,
							  RfSettlement *settlement);

/* What the end of the transfer proves, and what its account's gate learns of it. */
extern void rf_flight_classify(RfFlight *flight, RfOutcome *outcome);
extern void rf_flight_tell_gate(RfFlight *flight, const RfOutcome *outcome);

/* Stopped before its next account: back to waiting, where it was. */
extern void rf_flight_return(RfFlight *flight, RfSettlement *settlement);

extern void rf_flight_free(RfFlight *flight);

#endif							/* ROLEFERRY_FLIGHT_H */
