/*-------------------------------------------------------------------------
 *
 * state.h
 *	  What the files of the dispatcher share among themselves.
 *
 * One struct for the one dispatcher of a process.  The files divide its work:
 * dispatcher.c has the loop, lookout.c looks for jobs, calls.c takes those
 * that somebody waits for, claims.c makes them ours, fleet.c starts and lands
 * them, ledger.c writes what became of them; questions.c asks providers for who
 * waits, without a job (asked.c knows who that is), kept.c keeps what they find;
 * drain.c leaves.
 *
 *-------------------------------------------------------------------------
 */
#ifndef ROLEFERRY_WORKER_STATE_H
#define ROLEFERRY_WORKER_STATE_H

#include "core/lanes.h"
#include "outbox/activation.h"
#include "outbox/job.h"
#include "outbox/receipt.h"
#include "outbox/sweep.h"
#include "provider/people.h"
#include "shmem/call.h"
#include "shmem/wake.h"
#include "storage/latch.h"
#include "worker/flight.h"
#include "worker/session.h"

/* After a write that failed. */
#define RF_RETRY_WRITE_US	INT64CONST(1000000)

/* Until a question is looked at again whose host is being resolved. */
#define RF_QUESTION_NAP_US	INT64CONST(5000)

/* Sweeps are never further apart. */
#define RF_MAX_SWEEP_US		INT64CONST(30000000)

typedef struct RfCall RfCall;	/* calls.c */

typedef struct RfDispatcher
{
	RfDispatcherSlot *slot;
	uint64		incarnation;
	RfHttpEngine *engine;
	WaitEventSet *wait_set;
	RfLanes		lanes;
	MemoryContext turn_context; /* reset once a turn */
	MemoryContext flights_context;	/* parent of each flight's own */
	MemoryContext claim_context;	/* the same, until the transaction that
									 * claims it has committed */
	MemoryContext settle_context;	/* reset when written */

	RfFlight  **flights;		/* under way, dense */
	int			nflights;
	int			flights_size;	/* room in the array */
	int			max_flights;	/* of the queue's: calls come on top */
	int			ceiling;		/* 0, or after a shortage: no more under way */
	bool		starved;		/* none starts until relax_at_us */
	int64		relax_at_us;	/* when the ceiling is raised */
	int64		shortage_logged_us; /* at most once a minute */
	bool		shortage_open;	/* told, and its end not yet */
	List	   *starting;		/* of RfFlight: claimed, about to start */
	int			nchosen;		/* jobs of order keys that the claim under way
								 * is still to claim for the providers */
	List	   *again;			/* of RfFlight: to be claimed for the next
								 * account */
	bool		claims_in_doubt;	/* a claim failed: it may have been
									 * committed */
	bool		alone;			/* the job under way was marked by a crash */

	List	   *calls;			/* of RfCall: somebody waits for them */
	List	   *questions;		/* taken, but their host is not known yet */
	dlist_head	asked;			/* of RfFlight: every question in hand */
	List	   *kept;			/* of RfKeptPage: to be written to the cache */
	int64		kept_until_us;	/* when at the latest */
	MemoryContext kept_context; /* holds them */
	int			ncall_flights;	/* of the flights, those that somebody waits
								 * for: they take no place */
	int64		answered_us;	/* when somebody was told, last */

	List	   *settlements;	/* of RfSettlement, in settle_context */
	int			attempt_table;
	int			result_table;
	int64		next_write_us;	/* not before, after a write that failed */
	int64		gather_until_us;	/* settlements wait for more to come; 0:
									 * they do not */

	bool		active;
	RfActivation activation;	/* as last read */
	RfActivationState explained;	/* in the log, last */
	TimestampTz orphans_settled_for;	/* the activation that orphans were
										 * settled for */
	bool		started_up;		/* orphans were dealt with */
	bool		look_everywhere;	/* sweep as soon as possible */
	bool		new_doubts;		/* sends became unknown since events were
								 * asked for */
	int64		next_sweep_us;
	int64		next_look_us;	/* not before, though asked to */
	int64		next_housekeeping_us;
	int64		drain_until_us; /* 0: not draining */
} RfDispatcher;

/* lookout.c: sweeps and housekeeping, each when it is due */
extern void rf_lookout_run(RfDispatcher *d);
extern bool rf_lookout_finds_mute(RfDispatcher *d);
extern void rf_lookout_remember_route(RfStrand *strand,
									  const RfStrandJob *first, void *context);

/* phase.c: what it says of itself */
extern void rf_phase_report(RfDispatcher *d);
extern uint32 rf_phase_wait_event(RfDispatcher *d);

/* drain.c: the second does not return */
extern void rf_drain_begin(RfDispatcher *d, int grace_ms);
extern void rf_drain_end(RfDispatcher *d);

/* calls.c: jobs that somebody waits for */
extern bool rf_calls_waiting(RfDispatcher *d);
extern void rf_calls_claim(RfDispatcher *d);
extern void rf_calls_claimed(RfDispatcher *d, bool committed);
extern void rf_calls_resolve_doubt(RfDispatcher *d);
extern void rf_calls_settle(RfCall *call, const RfSettlement *settlement);
extern void rf_calls_gathered(RfFlight *flight);
extern void rf_calls_written(RfDispatcher *d);
extern void rf_calls_answer(RfDispatcher *d);
extern void rf_calls_refuse(RfDispatcher *d, const char *why, const char *hint);

/* questions.c: questions that somebody waits for */
extern bool rf_questions_waiting(RfDispatcher *d);
extern void rf_questions_serve(RfDispatcher *d);
extern bool rf_questions_want_grant(RfDispatcher *d);
extern void rf_questions_land(RfDispatcher *d, RfFlight *flight);

/*
 * call_flight.c: a job with an idempotency_key becomes a row, or the receipt
 * says why not; it starts when the claim is committed
 */
extern bool rf_call_flight_insert(const RfJobDraft *draft, int64 incarnation,
								  int64 *job_id, RfReceipt *receipt);
extern RfFlight *rf_call_flight_start(RfDispatcher *d, int64 job_id,
									  const RfJobDraft *draft);

/* The same, of a job that has no flight any more: the receipt is copied. */
extern void rf_calls_settle_job(RfDispatcher *d, int64 job_id, const RfReceipt *receipt);
extern bool rf_calls_await(RfDispatcher *d, int64 job_id, int64 *until_us);

/* batches.c: jobs that are paid for together */
extern void rf_batches_gather(RfDispatcher *d, RfFlight *flight);
extern bool rf_batches_want_claim(RfDispatcher *d);
extern void rf_batches_claim(RfDispatcher *d);
extern void rf_batches_claimed(RfDispatcher *d, bool committed);
extern void rf_batches_load(RfDispatcher *d, bool adopt);
extern int	rf_batches_in_hand(int64 *job_ids);
extern int64 rf_batches_next_due(RfDispatcher *d);
extern void rf_batches_start(RfDispatcher *d, RfFlight *flight);
extern void rf_batches_return(RfDispatcher *d);
extern void rf_batches_let_go(RfFlight *flight);
extern void rf_batches_land(RfDispatcher *d, RfFlight *flight);
extern bool rf_batches_moved(void);
extern void rf_batches_write(RfDispatcher *d);
extern void rf_batches_written(RfDispatcher *d, bool committed);
extern bool rf_batches_describe(char *line, size_t size);

/* kept.c: pages of people on their way to the cache */
extern void rf_kept_take(RfDispatcher *d, RfCallSlot *slot, const void *bytes, Size len);
extern void rf_kept_page(RfDispatcher *d, RfFlight *flight, const RfPeoplePage *page);
extern void rf_kept_write(RfDispatcher *d, bool all);
extern bool rf_kept_holds(RfDispatcher *d, const uint8 *digest, int page);

/* asked.c: questions in hand, and who waits for their answers */
extern void rf_asked_add(RfDispatcher *d, RfFlight *flight);
extern bool rf_asked_join(RfDispatcher *d, RfCallSlot *slot, const void *bytes, Size len);
extern bool rf_asked_is_abandoned(RfFlight *flight);
extern void rf_asked_answer(RfFlight *flight, const void *answer, Size len);
extern void rf_asked_remove(RfFlight *flight);

/* pace.c: what is not done at once */
extern bool rf_pace_gathers(RfDispatcher *d);
extern bool rf_pace_wants_hints(RfDispatcher *d);
extern bool rf_pace_lingers(RfDispatcher *d);
extern int64 rf_pace_next_opening(RfDispatcher *d, TimestampTz wall);

/* claims.c */
extern bool rf_claims_allowed(RfDispatcher *d);
extern bool rf_claims_possible(RfDispatcher *d);
extern void rf_claims_run(RfDispatcher *d, bool settled_lazily);
extern void rf_claims_give_back(RfDispatcher *d);

/* fleet.c */
extern void rf_fleet_start_claimed(RfDispatcher *d);
extern void rf_fleet_land_finished(RfDispatcher *d);
extern void rf_fleet_attend(RfDispatcher *d);
extern void rf_fleet_return_again(RfDispatcher *d);
extern int	rf_fleet_free_places(RfDispatcher *d);
extern void rf_fleet_make_room(RfDispatcher *d, int size);
extern void rf_fleet_land(RfDispatcher *d, RfFlight *flight);
extern void rf_fleet_add(RfDispatcher *d, RfFlight *flight);
extern void rf_fleet_free(RfDispatcher *d, RfFlight *flight);
extern void rf_fleet_end_alone(RfDispatcher *d);

/* ledger.c: false when it could not be written now; it is kept then */
extern void rf_ledger_keep(RfDispatcher *d, const RfSettlement *settlement,
						   RfFlight *flight);
extern void rf_ledger_keep_job(RfDispatcher *d, const RfSettlement *settlement,
							   const RfClaimedJob *job);
extern bool rf_ledger_write(RfDispatcher *d, RfCommit commit);

#endif							/* ROLEFERRY_WORKER_STATE_H */
