/*-------------------------------------------------------------------------
 *
 * batch_kind.h
 *	  What the dispatcher must know of a task whose jobs are paid for together.
 *
 * To add a kind:
 *	1. a row in outbox/lookup_job.c (and RF_LOOKUP_TASKS): its task,
 *	   how its args are checked, which providers can do it;
 *	2. a file like verify_kind.c with the functions below, and a row in
 *	   batch_kinds.c.
 * The rest is done by batches.c: jobs are gathered, what is known already or
 * under way is not asked for again, the paid request is marked durably before
 * its first byte, and whatever was paid for is written before anybody is told.
 *
 * An *item* is what is paid for once: an address, a person's id.  It is a short
 * ASCII text.  A job is done when each of its items is answered.
 *
 * A provider whose answer holds the results at once has answers_at_once true:
 * its batches go from SEND to DONE, and build and read see no other step.  Where
 * a lost request can be looked for, can_find is true.
 *
 *-------------------------------------------------------------------------
 */
#ifndef ROLEFERRY_BATCH_KIND_H
#define ROLEFERRY_BATCH_KIND_H

#include "outbox/batch.h"
#include "outbox/claim.h"
#include "provider/provider.h"

/* What a job asks for; palloc'd. */
typedef struct RfBatchItems
{
	const char **items;			/* each once */
	int			nitems;
	int64		max_age_us;		/* of what is known already, or PG_INT64_MAX */
} RfBatchItems;

/*
 * What is known of an item: it answers who asked before it was found, and
 * otherwise as long as it keeps.
 */
typedef struct RfBatchKnown
{
	bool		found;
	TimestampTz found_at;
	int64		keeps_us;
} RfBatchKnown;

/* What an answer says, beside its outcome. */
typedef struct RfBatchAnswer
{
	RfOutcome	outcome;
	char		provider_job[RF_BATCH_JOB_MAX + 1]; /* of SEND and FIND */
	bool		more;			/* of FETCH: further pages follow */
	int64		items_done;		/* -1: not said */
	void	   *rows;			/* for write; NULL: none */
} RfBatchAnswer;

typedef struct RfBatchKind
{
	const char *task;
	const char *endpoint;		/* what rate limits call a request that pays */

	/* Oldest of a gathered job's wait, in ms. */
	int			(*max_wait) (void);
	int64		(*poll_us) (void);

	/* How much of these goes into one batch, from the first on; at least one. */
	int			(*most) (const RfProvider *provider);
	int			(*fit) (const RfProvider *provider, const char **items, int count);

	/*
	 * Better asked for in a request of its own that answers at once?  waited
	 * for: somebody waits for one of its jobs.
	 */
	bool		(*is_single) (int count, bool waited_for);

	/* How many batches of an account there may be at once; 0: any number. */
	int			(*at_once) (const RfProvider *provider);
	bool		(*can_find) (const RfBatch *batch);
	bool		(*answers_at_once) (const RfBatch *batch);

	/*
	 * In a transaction, after the args were checked when the job was
	 * enqueued.
	 */
	void		(*items) (const RfClaimedJob *job, RfBatchItems *items);

	/* In a transaction: what is known of them, from that provider. */
	void		(*look) (const char *provider, const char **items, int count,
						 RfBatchKnown *known);

	/* In a transaction: what a job whose items are answered returns. */
	Jsonb	   *(*result) (const RfClaimedJob *job, const char *provider);

	/* Outside a transaction.  items: of SEND only.  False: none can be made. */
	bool		(*build) (const RfBatch *batch, const RfProvider *provider,
						  const RfAccountConfig *account, const char *name,
						  const char **items, int count, RfRequest *request);

	/* The answer to batch->step; items as above.  Keeps what it malloc'd. */
	void		(*read) (const RfBatch *batch, const RfProvider *provider,
						 const RfResponse *response, int64 now_s, const char *name,
						 const char **items, int count, RfBatchAnswer *answer);

	/* In a transaction: keep the rows; over: nothing more will come. */
	void		(*write) (const RfBatch *batch, const char *provider, const void *rows, bool over);
	void		(*free_rows) (void *rows);
} RfBatchKind;

/* NULL: jobs of this task are no lookups. */
extern const RfBatchKind *rf_batch_kind(const char *task);

/* The same of a job; of a search when it has found people. */
extern const RfBatchKind *rf_batch_kind_of(const RfClaimedJob *job);

/* Sorts them and keeps each once; how many are left. */
extern int	rf_batch_items_once(const char **items, int count);

/* The same as spans; palloc'd. */
extern RfText *rf_batch_items_texts(const char **items, int count);

extern const RfBatchKind rf_verify_kind;
extern const RfBatchKind rf_enrich_kind;

#endif							/* ROLEFERRY_BATCH_KIND_H */
