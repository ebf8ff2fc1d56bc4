/*-------------------------------------------------------------------------
 *
 * limits.c
 *	  Rate limits as the dispatcher keeps them.
 *
 * Which account a job goes out by is decided when it starts, after the claim;
 * the tokens have to be on disk with the claim.  So the claim foresees what
 * the starts will take and writes down whole blocks; a start that was not
 * foreseen finds no granted token and gives its job back.
 *
 * IDENTIFICATION
 *	  src/worker/limits.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <ctype.h>
#include <limits.h>

#include "common/hashfn.h"
#include "miscadmin.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

#include "codec/address.h"
#include "worker/limits.h"
#include "worker/state.h"

#define NO_MEMORY_US	INT64CONST(1000000) /* until room is looked for again */
#define BLOCKS			50		/* a limit is granted in so many parts, at
								 * least */
#define KEY_MAX			320
#define MAX_DEFERRED	1000000

/* One that no window can be had for. */
#define CLOSED			(-1)

typedef struct Grant
{
	RfLimitKey	key;
	uint32		tokens;
	int64		until_us;
} Grant;

static Grant *grants = NULL;	/* of the claim under way */
static int	ngrants = 0;
static int	grants_capacity = 0;

/* Jobs that wait for a token, for when the limits change. */
typedef struct Deferred
{
	int64		job_id;
	TimestampTz run_at;
} Deferred;

static Deferred *deferred = NULL;
static int	ndeferred = 0;
static int	deferred_capacity = 0;

static int	gather(RfFlight *flight, RfRosterEntry *entry, RfLimit **limits,
				   int64 now_us);
static uint64 key_hash(const RfFlight *flight, RfRateBy by);
static uint64 hash_text(const char *key, size_t len, RfRateBy by);
static void foresee(RfFlight *flight, RfHttpEngine *engine, List **wanted);
static bool want(RfLimit **limits, int nlimits, int64 now_us, List **wanted);
static RfRateUse *grant_block(RfLimit *limit, int64 now_us);
static void remember_grant(const RfLimit *limit, uint32 tokens, int64 until_us);

int
rf_limits_room(RfRosterEntry *entry, int64 now_us, int64 *next_us)
{
	int			room = INT_MAX;

	*next_us = 0;
	for (int i = 0; i < entry->nlimits; i++)
	{
		const RfLimitRule *rule = &entry->limits[i];
		int64		next = 0;
		int			here;

		if (rule->closed_until_us > now_us)
		{
			room = 0;
			*next_us = Max(*next_us, rule->closed_until_us);
		}
		if (rule->by != RF_RATE_ALL)
			continue;
		if (rule->limit == NULL)
		{
			room = 0;
			*next_us = Max(*next_us, now_us + NO_MEMORY_US);
			continue;
		}
		here = (int) rf_limit_room(rule->limit, now_us, &next);
		room = Min(room, here);
		*next_us = Max(*next_us, next);
	}
	if (*next_us == RF_RATE_WHEN_ENDED)
		*next_us = 0;
	return room;
}

bool
rf_limits_admit(RfFlight *flight, RfRosterEntry *entry, int64 now_us)
{
	RfLimit    *limits[RF_LIMITS_MAX];
	int			nlimits = gather(flight, entry, limits, now_us);
	int64		next;

	for (int i = 0; i < nlimits; i++)
		if (rf_limit_room(limits[i], now_us, &next) == 0)
			return false;
	return nlimits != CLOSED;
}

int64
rf_limits_turn(RfFlight *flight, RfRosterEntry *entry, int64 now_us)
{
	RfLimit    *limits[RF_LIMITS_MAX];
	int			nlimits = gather(flight, entry, limits, now_us);
	int64		turn = 0;
	int64		next;

	if (nlimits == CLOSED)
		return now_us + NO_MEMORY_US;
	for (int i = 0; i < nlimits; i++)
		if (rf_limit_room(limits[i], now_us, &next) == 0)
			turn = Max(turn, rf_limit_promise(limits[i], now_us));
	return turn;
}

/* Forgetting some costs them no more than the wait they were told. */
void
rf_limits_deferred(int64 job_id, TimestampTz run_at)
{
	if (ndeferred == deferred_capacity)
	{
		TimestampTz now = GetCurrentTimestamp();
		int			kept = 0;

		for (int i = 0; i < ndeferred; i++)
			if (deferred[i].run_at > now)
				deferred[kept++] = deferred[i];
		ndeferred = kept;
		if (ndeferred == MAX_DEFERRED)
			return;
		if (ndeferred >= deferred_capacity / 2)
		{
			deferred_capacity = Min(deferred_capacity * 2 + 1024, MAX_DEFERRED);
			deferred = deferred ? repalloc(deferred, deferred_capacity * sizeof(Deferred)) :
				MemoryContextAlloc(TopMemoryContext, deferred_capacity * sizeof(Deferred));
		}
	}
	deferred[ndeferred].job_id = job_id;
	deferred[ndeferred++].run_at = run_at;
}

void
rf_limits_release(void)
{
	int64	   *ids = palloc((ndeferred + 1) * sizeof(int64));

	for (int i = 0; i < ndeferred; i++)
		ids[i] = deferred[i].job_id;
	if (ndeferred > 0)
		rf_rate_release(ids, ndeferred);
	ndeferred = 0;
}

bool
rf_limits_take(RfFlight *flight)
{
	RfLimit    *limits[RF_LIMITS_MAX];
	int64		now_us = rf_gate_now_us();
	int			nlimits;

	flight->nheld = 0;
	if (flight->entry->nlimits == 0)
		return true;
	nlimits = gather(flight, flight->entry, limits, now_us);
	if (nlimits == CLOSED || !rf_limit_take(limits, nlimits, now_us))
		return false;
	if (flight->held == NULL)
		flight->held = MemoryContextAlloc(flight->context, RF_LIMITS_MAX * sizeof(RfLimitKey));
	for (int i = 0; i < nlimits; i++)
		flight->held[i] = limits[i]->key;
	flight->nheld = nlimits;
	return true;
}

void
rf_limits_end(RfFlight *flight, bool left)
{
	if (flight->nheld > 0)
		rf_limit_end(flight->held, flight->nheld, left, rf_gate_now_us());
	flight->nheld = 0;
}

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
		foresee(lfirst(lc), d->engine, &wanted);
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

void
rf_limit_learn(RfRosterEntry *entry, const RfLimitNews *news)
{
	int64		now_us = rf_gate_now_us();

	if (news->left < 0)
		return;
	if (news->per_us > 0)
		rf_limit_clamp(MyDatabaseId, entry->server, news->per_us,
					   (uint32) Min(news->left, RF_RATE_MAX_REQUESTS), now_us);
	if (news->left == 0 && news->reset_us > 0)
		(void) rf_gate_pause(MyDatabaseId, entry->server, RF_OUTCOME_THROTTLE,
							 "the provider says that no request is left", news->reset_us);
}

/* The windows that a request of this job counts in, or CLOSED. */
static int
gather(RfFlight *flight, RfRosterEntry *entry, RfLimit **limits, int64 now_us)
{
	int			nlimits = 0;

	if (entry->nlimits == 0)
		return 0;
	for (int i = 0; i < entry->nlimits; i++)
	{
		RfLimitRule *rule = &entry->limits[i];
		RfLimitKey	key = {MyDatabaseId, rule->server, rule->id, 0};
		RfLimit    *limit = rule->limit;
		bool		made;

		if (rule->closed_until_us > now_us)
			return CLOSED;
		if (rule->by != RF_RATE_ALL)
		{
			key.key_hash = key_hash(flight, rule->by);
			if (key.key_hash == 0)
				continue;
			limit = rf_limit_obtain(&key, &rule->terms, &made);
		}
		if (limit == NULL)
			return CLOSED;
		limits[nlimits++] = limit;
	}
	return nlimits;
}

/* 0: the job has no such key, and is not limited by it. */
static uint64
key_hash(const RfFlight *flight, RfRateBy by)
{
	const char *name = by == RF_RATE_FROM_ADDR ? "from_addr" : "to_addr";
	JsonbValue *value;
	RfAddress	address;

	if (by == RF_RATE_TENANT_KEY)
		return flight->job->tenant_key[0] == '\0' ? 0 :
			hash_bytes_extended((const unsigned char *) flight->job->tenant_key,
								strlen(flight->job->tenant_key), by) | 1;
	value = getKeyJsonValueFromContainer(&flight->job->args->root, name, strlen(name), NULL);
	if (value == NULL || value->type != jbvString)
		return 0;
	if (rf_address_parse(value->val.string.val, value->val.string.len, &address) != RF_ADDRESS_OK)
		return hash_text(value->val.string.val, value->val.string.len, by);
	if (by == RF_RATE_FROM_ADDR)
		return hash_text(address.email, address.email_len, by);
	return hash_text(address.email + address.local_len + 1,
					 address.email_len - address.local_len - 1, by);
}

/* Case makes no difference: rather one window too few than one too many. */
static uint64
hash_text(const char *key, size_t len, RfRateBy by)
{
	unsigned char folded[KEY_MAX];

	len = Min(len, sizeof(folded));
	for (size_t i = 0; i < len; i++)
		folded[i] = pg_ascii_tolower((unsigned char) key[i]);
	return hash_bytes_extended(folded, len, by) | 1;
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
		RfLimit    *limits[RF_LIMITS_MAX];
		bool		closed;
		int			nlimits;

		if (entry == NULL || (flight->usable & ~flight->tried & (UINT32_C(1) << i)) == 0)
			continue;
		(void) rf_roster_capacity(entry, engine, now_us, &closed);
		if (closed)
			continue;
		nlimits = gather(flight, entry, limits, now_us);
		if (nlimits != CLOSED && want(limits, nlimits, now_us, wanted))
			return;
	}
}

static bool
want(RfLimit **limits, int nlimits, int64 now_us, List **wanted)
{
	int64		next;

	for (int i = 0; i < nlimits; i++)
		if (rf_limit_room(limits[i], now_us, &next) <= limits[i]->wanted)
			return false;
	for (int i = 0; i < nlimits; i++)
		if (limits[i]->wanted++ == 0)
			*wanted = lappend(*wanted, limits[i]);
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
