/*-------------------------------------------------------------------------
 *
 * limits.c
 *	  Rate limits as the dispatcher keeps them.
 *
 * Windows of a whole account are part of its capacity, which is asked before
 * anything is claimed.  Those that depend on the job are asked job by job.
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
#include "utils/hsearch.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

#include "codec/address.h"
#include "worker/limits.h"
#include "worker/state.h"

#define NO_MEMORY_US	INT64CONST(1000000) /* until room is looked for again */
#define KEY_MAX			320
#define SLACK_US		1000	/* so that it is not too early once more */
#define MAX_DEFERRED	1000000

/* Jobs that wait for a token, for when the limits change. */
typedef struct Deferred
{
	int64		job_id;			/* first: the key */
	TimestampTz run_at;
} Deferred;

static HTAB *deferred = NULL;

static int64 find_turn(RfFlight *flight, RfRosterEntry *entry, int64 now_us,
					   RfRateWaiter waiter);
static bool was_deferred(const RfFlight *flight);
static void forget_overdue(void);
static bool obtain_by_key(RfFlight *flight, const RfLimitRule *rule, RfLimit **limit);
static uint64 key_hash(const RfFlight *flight, RfRateBy by);
static uint64 hash_text(const char *key, size_t len, RfRateBy by);

int
rf_limits_room(RfRosterEntry *entry, int64 now_us, int64 *next_us)
{
	int			room = INT_MAX;

	*next_us = 0;
	if (entry->too_many_limits)
		return 0;
	for (int i = 0; i < entry->nlimits; i++)
	{
		const RfLimitRule *rule = &entry->limits[i];
		int64		next = 0;
		uint32		tokens;
		int			here;

		if (rule->closed_until_us > now_us)
		{
			room = 0;
			*next_us = Max(*next_us, rule->closed_until_us);
		}
		if (!rule->whole)
			continue;
		if (rule->limit == NULL)
		{
			room = 0;
			*next_us = Max(*next_us, now_us + NO_MEMORY_US);
			continue;
		}
		tokens = rule->terms.credits ? entry->cost_per_call : 1;
		if (tokens > rule->terms.max)
			continue;			/* never: the job is to be told */
		here = (int) (rf_limit_room(rule->limit, tokens, now_us, &next) / tokens);
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
	RfLimitShare shares[RF_LIMITS_MAX];
	int			nshares = rf_limits_gather(flight, entry, shares, now_us);
	int64		next;

	for (int i = 0; i < nshares; i++)
		if (rf_limit_room(shares[i].limit, shares[i].tokens, now_us, &next) < shares[i].tokens)
			return false;
	return nshares != RF_LIMITS_CLOSED && !entry->too_many_limits;
}

int64
rf_limits_turn(RfFlight *flight, RfRosterEntry *entry, int64 now_us)
{
	return find_turn(flight, entry, now_us, RF_RATE_CURIOUS);
}

TimestampTz
rf_limits_defer(RfFlight *flight, RfRosterEntry *entry, int64 now_us,
				TimestampTz run_at)
{
	RfRateWaiter waiter = was_deferred(flight) ? RF_RATE_EARLY : RF_RATE_NEWCOMER;
	int64		turn_us = find_turn(flight, entry, now_us, waiter);

	if (waiter == RF_RATE_EARLY)
		run_at = GetCurrentTimestamp() + Max(turn_us - now_us, 0) + SLACK_US;
	rf_limits_remember(flight->job->id, run_at);
	return run_at;
}

void
rf_limits_release(void)
{
	HASH_SEQ_STATUS status;
	Deferred   *d;
	int64	   *ids;
	int			nids = 0;

	if (deferred == NULL || hash_get_num_entries(deferred) == 0)
		return;
	ids = palloc(hash_get_num_entries(deferred) * sizeof(int64));
	hash_seq_init(&status, deferred);
	while ((d = hash_seq_search(&status)) != NULL)
		ids[nids++] = d->job_id;
	rf_rate_release(ids, nids);
	hash_destroy(deferred);
	deferred = NULL;
}

bool
rf_limits_take(RfFlight *flight)
{
	RfLimitShare shares[RF_LIMITS_MAX];
	int64		now_us = rf_gate_now_us();
	int			nshares;

	flight->nheld = 0;
	if (flight->entry->nlimits == 0)
		return true;
	nshares = rf_limits_gather(flight, flight->entry, shares, now_us);
	if (nshares == RF_LIMITS_CLOSED || !rf_limit_take(shares, nshares, now_us))
		return false;
	if (flight->held == NULL)
		flight->held = MemoryContextAlloc(flight->context, RF_LIMITS_MAX * sizeof(RfLimitHold));
	for (int i = 0; i < nshares; i++)
	{
		flight->held[i].key = shares[i].limit->key;
		flight->held[i].tokens = shares[i].tokens;
		flight->held[i].credits = rf_limit_terms(shares[i].limit).credits;
	}
	flight->nheld = nshares;
	if (deferred != NULL && flight->job != NULL)
		(void) hash_search(deferred, &flight->job->id, HASH_REMOVE, NULL);
	return true;
}

void
rf_limits_withdraw(RfFlight *flight)
{
	rf_limits_end(flight, false, 0);
}

void
rf_limits_end(RfFlight *flight, bool left, uint32 credits)
{
	if (flight->nheld > 0)
		rf_limit_end(flight->held, flight->nheld, left, credits, rf_gate_now_us());
	flight->nheld = 0;
}

static int64
find_turn(RfFlight *flight, RfRosterEntry *entry, int64 now_us, RfRateWaiter waiter)
{
	RfLimitShare shares[RF_LIMITS_MAX];
	int			nshares = rf_limits_gather(flight, entry, shares, now_us);
	int64		turn = 0;
	int64		next;

	if (nshares == RF_LIMITS_CLOSED || entry->too_many_limits)
		return now_us + NO_MEMORY_US;
	for (int i = 0; i < nshares; i++)
	{
		if (rf_limit_room(shares[i].limit, shares[i].tokens, now_us, &next) < shares[i].tokens)
		{
			/* Asked once: it is a promise, and Max() would ask twice. */
			int64		here = rf_limit_turn(&shares[i], now_us, waiter);

			turn = Max(turn, here);
		}
	}
	return turn;
}

static bool
was_deferred(const RfFlight *flight)
{
	return deferred != NULL && hash_search(deferred, &flight->job->id, HASH_FIND, NULL) != NULL;
}

/* Forgetting some costs them no more than the wait they were told. */
void
rf_limits_remember(int64 job_id, TimestampTz run_at)
{
	Deferred   *d;

	if (deferred == NULL)
	{
		HASHCTL		control = {.keysize = sizeof(int64),.entrysize = sizeof(Deferred)};

		deferred = hash_create("roleferry deferred jobs", 1024, &control, HASH_ELEM | HASH_BLOBS);
	}
	if (hash_get_num_entries(deferred) >= MAX_DEFERRED)
		forget_overdue();
	if (hash_get_num_entries(deferred) >= MAX_DEFERRED)
		return;
	d = hash_search(deferred, &job_id, HASH_ENTER, NULL);
	d->run_at = run_at;
}

static void
forget_overdue(void)
{
	TimestampTz now = GetCurrentTimestamp();
	HASH_SEQ_STATUS status;
	Deferred   *d;

	hash_seq_init(&status, deferred);
	while ((d = hash_seq_search(&status)) != NULL)
		if (d->run_at < now)
			(void) hash_search(deferred, &d->job_id, HASH_REMOVE, NULL);
}

int
rf_limits_gather(RfFlight *flight, RfRosterEntry *entry, RfLimitShare *shares, int64 now_us)
{
	int			nshares = 0;

	for (int i = 0; i < entry->nlimits; i++)
	{
		RfLimitRule *rule = &entry->limits[i];
		RfLimitShare share = {rule->limit, 1};

		if (rule->closed_until_us > now_us)
			return RF_LIMITS_CLOSED;
		if (rule->terms.credits)
			share.tokens = rf_limits_cost(flight, entry);
		if (share.tokens == 0 ||
			(rule->endpoint != NULL && strcmp(rule->endpoint, rf_limits_endpoint(flight)) != 0))
			continue;
		if (rule->by != RF_RATE_ALL && !obtain_by_key(flight, rule, &share.limit))
			continue;
		if (share.limit == NULL)
			return RF_LIMITS_CLOSED;
		shares[nshares++] = share;
	}
	return nshares;
}

/* False: it has no such key, and is not limited by it. */
static bool
obtain_by_key(RfFlight *flight, const RfLimitRule *rule, RfLimit **limit)
{
	RfLimitKey	key = {MyDatabaseId, rule->server, rule->id, 0};
	bool		made;

	if (flight->job == NULL)
		return false;			/* a question has none */
	key.key_hash = key_hash(flight, rule->by);
	if (key.key_hash == 0)
		return false;
	*limit = rf_limit_obtain(&key, &rule->terms, &made);
	return true;
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
