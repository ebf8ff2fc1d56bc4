/*-------------------------------------------------------------------------
 *
 * batches.h
 *	  Batches and the jobs gathered for them, as the dispatcher has them.
 *
 * batches.c gathers jobs and takes what ends; batch_form.c decides, inside the
 * claim's transaction, which of them are answered already, which wait for a
 * batch under way, and which make a new one; batch_flight.c carries a batch's
 * requests; batch_end.c writes what they proved.
 *
 *-------------------------------------------------------------------------
 */
#ifndef ROLEFERRY_BATCHES_H
#define ROLEFERRY_BATCHES_H

#include "worker/batch_kind.h"
#include "worker/state.h"

/* A job in our hands whose question has not been asked yet. */
typedef struct RfMember
{
	RfFlight   *flight;			/* never flies: holds the job */
	const RfBatchKind *kind;
	const char *provider;		/* whose answers count, when last looked */
	RfBatchItems items;
	const char **missing;		/* of the items, when last looked */
	int			nmissing;
	bool		looked;
	int64		since_us;
	int64		wait_until_us;	/* there was no room for it */
	RfRosterEntry *entry;		/* the account it would go to; NULL: not now */
	int64		formed_for;		/* the last batch that was formed for it */
	bool		leaves;			/* with the claim under way */
	bool		gone;			/* settled: to be freed */
	RfOutcome  *refusal;		/* why the last batch with it was not taken */
	bool		charge;			/* that is a failure of its own */
} RfMember;

/* A batch that is not over. */
typedef struct RfBatchRun
{
	RfBatch		row;			/* as it is on disk */
	const RfBatchKind *kind;
	MemoryContext context;
	RfFlight   *flight;			/* its request under way; or NULL */
	int64		due_us;			/* of the next one */
	int			tries;
	int			misses;
	bool		formed;			/* by the claim under way */
	const char **items;			/* of SEND, as long as it flies */
	int			nitems;

	/* what the last request proved, until it is written */
	bool		moved;
	bool		written;		/* by the transaction under way */
	RfBatchNext next;
	RfBatchAnswer answer;
	RfMember  **taken_back;		/* by the transaction under way */
	int			ntaken_back;
	int64	   *ended_jobs;
	char	  **ended_queues;	/* one for each of them */
	int			nended_jobs;
} RfBatchRun;

/* batches.c */
extern List *rf_batch_members;	/* of RfMember */
extern List *rf_batch_runs;		/* of RfBatchRun */

extern RfMember *rf_batches_member(RfDispatcher *d, RfFlight *flight, const RfBatchKind *kind);
extern void rf_batches_free_member(RfDispatcher *d, RfMember *member);
extern void rf_batches_free_run(RfBatchRun *run);
extern RfBatchRun *rf_batches_run(const RfBatch *row);

/* Under way at that account, single ones not counted. */
extern int	rf_batches_at(const char *account);

/* Their rows were dated anew: the clock was set by that much. */
extern void rf_batches_redate(int64 by_us);

/* "<installation>.<batch id>": its name at the provider.  palloc'd. */
extern char *rf_batches_name(RfDispatcher *d, const RfBatchRun *run);

/* batch_form.c and batch_look.c, in the claim's transaction */
extern void rf_batches_form(RfDispatcher *d);
extern void rf_batches_look(RfDispatcher *d);

/* batch_closed.c: jobs for which no account is open now */
extern void rf_batches_refused(RfDispatcher *d, RfMember *member);
extern void rf_batches_closed(RfDispatcher *d, RfMember *member);
extern void rf_batches_postpone(RfDispatcher *d, RfMember *member, int64 opens_us, const char *why);
extern void rf_batches_bury(RfDispatcher *d, RfMember *member, const char *state, const char *why);
extern void rf_batches_tell_failure(RfReceipt *receipt, const char *account, const RfOutcome *outcome);

/* batch_flight.c */
extern void rf_batches_due(RfDispatcher *d);
extern void rf_batches_take_off(RfDispatcher *d, RfBatchRun *run, RfRosterEntry *entry);
extern void rf_batches_conclude(RfBatchRun *run);

#endif							/* ROLEFERRY_BATCHES_H */
