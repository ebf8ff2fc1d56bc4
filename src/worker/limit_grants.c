/*-------------------------------------------------------------------------
 *
 * limit_grants.c
 *	  Tokens of rate limits, written down before they are taken.
 *
 * Which account a job goes out by is decided when it starts, after the claim;
 * the tokens have to be on disk with the claim.  So the claim foresees what
 * the starts will take and writes down whole blocks; a start that was not
 * foreseen finds no granted token and gives its job back.
 *
 * IDENTIFICATION
 *	  src/worker/limit_grants.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "utils/memutils.h"
#include "utils/timestamp.h"

#include "worker/limits.h"
#include "worker/state.h"

/* A limit is granted in so many parts, at least. */
#define BLOCKS	50

typedef struct Grant
{
	RfLimitKey	key;
	uint32		tokens;
	int64		until_us;
} Grant;

static Grant *grants = NULL;	/* of the claim under way */
static int	ngrants = 0;
static int	grants_capacity = 0;

static void foresee(RfFlight *flight, RfHttpEngine *engine, List **wanted);
static void foresee_question(RfFlight *flight, List **wanted);
static bool want(const RfLimitShare *shares, int nshares, int64 now_us, List **wanted);
static RfRateUse *grant_block(RfLimit *limit, int64 now_us);
static void remember_grant(const RfLimit *limit, uint32 tokens, int64 until_us);

void
rf_limits_grant(RfDispatcher *d)
{
	int64		now_us = rf_gate_now_us();
	List	   *wanted = NIL;
	List	   *uses = NIL;
	ListCell   *lc;

	ngrants = 0;
	if (!rf_limit_rules_exist())
		return;
	rf_limit_begin();
	foreach(lc, d->again)
		foresee(lfirst(lc), d->engine, &wanted);
	foreach(lc, d->starting)
	{
		RfFlight   *flight = lfirst(lc);

		if (flight->job == NULL)
			foresee_question(flight, &wanted);
		else if (!flight->gathers && flight->mode < RF_MODE_CAPTURE)
			foresee(flight, d->engine, &wanted);
	}
	foreach(lc, d->questions)
		foresee_question(lfirst(lc), &wanted);
	foreach(lc, wanted)
	{
		RfLimit    *limit = lfirst(lc);
		RfRateUse  *use = grant_block(limit, now_us);

		limit->wanted = 0;
		if (use != NULL)
			uses = lappend(uses, use);
	}
	rf_rate_write(uses);
}

void
rf_limits_granted(bool committed)
{
	for (int i = 0; i < ngrants && committed; i++)
		rf_limit_grant(&grants[i].key, grants[i].tokens, grants[i].until_us);
	ngrants = 0;
}

/* The account it will choose when it starts, and its tokens there. */
static void
foresee(RfFlight *flight, RfHttpEngine *engine, List **wanted)
{
	int			naccounts = Min(list_length(flight->job->accounts), RF_ROUTE_MAX_ACCOUNTS);
	int64		now_us = rf_gate_now_us();

	for (int i = 0; i < naccounts; i++)
	{
		RfRosterEntry *entry = rf_roster_find(list_nth(flight->job->accounts, i));
		RfLimitShare shares[RF_LIMITS_MAX];
		bool		closed;
		int			nshares;

		if (entry == NULL || (flight->usable & ~flight->tried & (UINT32_C(1) << i)) == 0)
			continue;
		(void) rf_roster_capacity(entry, engine, now_us, &closed);
		if (closed)
			continue;
		nshares = rf_limits_gather(flight, entry, shares, now_us);
		if (nshares != RF_LIMITS_CLOSED && want(shares, nshares, now_us, wanted))
			return;
	}
}

static void
foresee_question(RfFlight *flight, List **wanted)
{
	RfLimitShare shares[RF_LIMITS_MAX];
	int64		now_us = rf_gate_now_us();
	int			nshares;

	if (!flight->wants_grant)
		return;
	nshares = rf_limits_gather(flight, flight->entry, shares, now_us);
	if (nshares != RF_LIMITS_CLOSED)
		(void) want(shares, nshares, now_us, wanted);
}

static bool
want(const RfLimitShare *shares, int nshares, int64 now_us, List **wanted)
{
	int64		next;

	for (int i = 0; i < nshares; i++)
	{
		RfLimit    *limit = shares[i].limit;
		uint32		room = rf_limit_room(limit, shares[i].tokens, now_us, &next);

		if (room < limit->wanted || room - limit->wanted < shares[i].tokens)
			return false;
	}
	for (int i = 0; i < nshares; i++)
	{
		if (shares[i].limit->wanted == 0)
			*wanted = lappend(*wanted, shares[i].limit);
		shares[i].limit->wanted += shares[i].tokens;
	}
	return true;
}

/* NULL: it has enough. */
static RfRateUse *
grant_block(RfLimit *limit, int64 now_us)
{
	RfLimitTerms terms = rf_limit_terms(limit);
	uint32		block = Max(terms.max / BLOCKS, 1);
	uint32		outstanding;
	uint32		lacking = rf_limit_lacking(limit, now_us, &outstanding);
	RfRateUse  *use;

	if (lacking == 0)
		return NULL;
	use = palloc0(sizeof(RfRateUse));
	use->limit_id = limit->key.limit_id;
	use->key_hash = limit->key.key_hash;
	use->granted_at = GetCurrentTimestamp();
	use->tokens = (lacking + block - 1) / block * block;
	use->outstanding = outstanding;
	remember_grant(limit, use->tokens, now_us + terms.per_us);
	return use;
}

static void
remember_grant(const RfLimit *limit, uint32 tokens, int64 until_us)
{
	if (ngrants == grants_capacity)
	{
		grants_capacity = grants_capacity ? grants_capacity * 2 : 64;
		grants = grants ? repalloc(grants, grants_capacity * sizeof(Grant)) :
			MemoryContextAlloc(TopMemoryContext, grants_capacity * sizeof(Grant));
	}
	grants[ngrants].key = limit->key;
	grants[ngrants].tokens = tokens;
	grants[ngrants].until_us = until_us;
	ngrants++;
}
