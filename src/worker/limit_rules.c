/*-------------------------------------------------------------------------
 *
 * limit_rules.c
 *	  The view rate_rule as the dispatcher has it in hand.
 *
 * A rule belongs to the server it was written for, whatever that is called by
 * now; where there is no such server any more, to the one of its name.  All
 * accounts of its quota_group count in its windows.
 *
 * A window that is new in shared memory is filled from rate_use: after a
 * restart, a crash, a promotion.  Of each block all tokens count as used, and
 * as ended when the next block was granted, unless they were under way then;
 * those of the last block end in a moment: what left a process that is dead may
 * reach the provider after another has begun.
 *
 * IDENTIFICATION
 *	  src/worker/limit_rules.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "miscadmin.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

#include "worker/circuits.h"
#include "worker/credits.h"
#include "worker/limits.h"
#include "worker/pool.h"
#include "worker/retries.h"
#include "worker/roster.h"

#define MAIL_ENDPOINT "send_email"

/* How long a request may be on its way without its sender. */
#define ON_ITS_WAY_US	INT64CONST(1000000)

static bool loaded = false;
static bool exist = false;
static uint64 accounts_known = 0;
static MemoryContext rules_context = NULL;

static void load(void);
static void load_rule(const RfRateRule *written, List *uses, List **marks);
static RfRosterEntry *owner(const RfRateRule *written);
static bool shares(const RfRosterEntry *entry, const RfRosterEntry *other);
static void attach(const RfLimitRule *rule, RfRosterEntry *entry);
static void seed(RfLimitRule *rule, List *uses, bool is_new, List **marks);
static void seed_window(RfLimit *limit, List *uses, int from, int to);

void
rf_limit_rules_refresh(RfDispatcherSlot *slot)
{
	uint32		word = pg_atomic_exchange_u32(&slot->rules, 0);

	if (loaded && word == RF_RULES_KNOWN && accounts_known == rf_account_generation())
		return;
	loaded = false;				/* until it succeeds */
	load();
	if (word == RF_RULES_CHANGED)
		rf_limits_release();
	rf_circuits_refresh();
	rf_queues_refresh();
	rf_credits_refresh();
	rf_pools_refresh();
	rf_retries_refresh();
	accounts_known = rf_account_generation();
	loaded = true;
}

bool
rf_limit_rules_are_known(void)
{
	return loaded;
}

bool
rf_limit_rules_exist(void)
{
	return exist;
}

static void
load(void)
{
	List	   *rules = rf_rate_rules();
	List	   *uses = NIL;
	List	   *marks = NIL;
	int64	   *ids = palloc((list_length(rules) + 1) * sizeof(int64));
	int			nids = 0;
	ListCell   *lc;

	if (rules_context == NULL)
	{
		rules_context = AllocSetContextCreate(TopMemoryContext, "roleferry limits", ALLOCSET_SMALL_SIZES);
		rf_limit_abandon(MyDatabaseId, rf_gate_now_us());
	}
	foreach(lc, rules)
		ids[nids++] = ((RfRateRule *) lfirst(lc))->id;
	rf_limit_keep(MyDatabaseId, ids, nids);
	for (int i = 0; rf_roster_at(i) != NULL; i++)
	{
		rf_roster_at(i)->limits = NULL;
		rf_roster_at(i)->nlimits = 0;
		rf_roster_at(i)->too_many_limits = false;
	}
	MemoryContextReset(rules_context);
	exist = rules != NIL;
	rf_limit_begin();
	if (rules != NIL)
		uses = rf_rate_uses();

	foreach(lc, rules)
		load_rule(lfirst(lc), uses, &marks);
	rf_rate_write(marks);
}

static void
load_rule(const RfRateRule *written, List *uses, List **marks)
{
	RfRosterEntry *entry = owner(written);
	RfLimitKey	key = {MyDatabaseId, InvalidOid, written->id, 0};
	RfLimitRule rule;
	bool		made = false;

	if (entry == NULL)
		return;
	memset(&rule, 0, sizeof(rule));
	rule.id = written->id;
	rule.server = key.server = entry->server;
	rule.by = written->by;
	rule.terms.max = written->max;
	rule.terms.per_us = written->per_us;
	rule.terms.pace = written->pace;
	rule.terms.credits = written->credits;
	/* Of an account for mail nothing else is asked. */
	if (written->endpoint[0] != '\0' &&
		!(entry->provider->sends_email && strcmp(written->endpoint, MAIL_ENDPOINT) == 0))
		rule.endpoint = MemoryContextStrdup(rules_context, written->endpoint);

	if (rule.by == RF_RATE_ALL)
	{
		rule.limit = rf_limit_obtain(&key, &rule.terms, &made);
		if (rule.limit == NULL)
			ereport(LOG,
					(errmsg("account \"%s\" is closed: there is no memory for its limit of %u %s",
							written->account, rule.terms.max, rule.terms.credits ? "credits" : "requests"),
					 errhint("Raise roleferry.limiter_memory.")));
	}
	seed(&rule, uses, made, marks);
	for (int i = 0; rf_roster_at(i) != NULL; i++)
		if (shares(rf_roster_at(i), entry))
			attach(&rule, rf_roster_at(i));
}

/* NULL: the account does not exist. */
static RfRosterEntry *
owner(const RfRateRule *written)
{
	RfRosterEntry *entry = rf_roster_find_server(written->server);

	return entry != NULL ? entry : rf_roster_find(written->account);
}

static bool
shares(const RfRosterEntry *entry, const RfRosterEntry *other)
{
	if (entry == other)
		return true;
	return entry->present && entry->provider == other->provider && entry->quota_group != NULL &&
		other->quota_group != NULL && strcmp(entry->quota_group, other->quota_group) == 0;
}

/*
 * A budget that every mail takes the same of is asked before a claim, as a
 * limit of requests is.
 */
static void
attach(const RfLimitRule *rule, RfRosterEntry *entry)
{
	RfLimitRule *copy;

	if (entry->nlimits == RF_LIMITS_MAX)
	{
		if (!entry->too_many_limits)
			ereport(LOG,
					(errmsg("account \"%s\" is closed: it and its quota_group have more than %d rate limits",
							entry->name, RF_LIMITS_MAX)));
		entry->too_many_limits = true;
		return;
	}
	if (entry->limits == NULL)
		entry->limits = MemoryContextAllocZero(rules_context, RF_LIMITS_MAX * sizeof(RfLimitRule));
	copy = &entry->limits[entry->nlimits++];
	*copy = *rule;
	copy->whole = rule->by == RF_RATE_ALL && rule->endpoint == NULL &&
		(!rule->terms.credits || (entry->provider->sends_email && entry->cost_per_call > 0));
	if (copy->limit != NULL)
		copy->limit->whole = copy->whole;
}

/*
 * Fill what is new.  Each window that had tokens out gets a block of none, so
 * that the next crash knows when they ended at the latest.
 */
static void
seed(RfLimitRule *rule, List *uses, bool is_new, List **marks)
{
	int			count = list_length(uses);

	for (int from = 0, to; from < count; from = to)
	{
		RfRateUse  *first = list_nth(uses, from);
		RfLimitKey	key = {MyDatabaseId, rule->server, first->limit_id, first->key_hash};
		RfLimit    *limit = rule->limit;
		RfRateUse  *last = first;

		for (to = from; to < count; to++)
		{
			RfRateUse  *use = list_nth(uses, to);

			if (use->limit_id != first->limit_id || use->key_hash != first->key_hash)
				break;
			last = use;
		}
		if (first->limit_id != rule->id || (first->key_hash == 0) != (rule->by == RF_RATE_ALL))
			continue;
		if (rule->by != RF_RATE_ALL)
			limit = rf_limit_obtain(&key, &rule->terms, &is_new);
		if (limit == NULL)
			rule->closed_until_us = rf_gate_now_us() + rule->terms.per_us;
		if (limit == NULL || !is_new)
			continue;
		seed_window(limit, uses, from, to);
		if (last->tokens + last->outstanding > 0)
		{
			RfRateUse  *mark = palloc0(sizeof(RfRateUse));

			mark->limit_id = first->limit_id;
			mark->key_hash = first->key_hash;
			mark->granted_at = GetCurrentTimestamp() + ON_ITS_WAY_US;
			*marks = lappend(*marks, mark);
		}
	}
}

static void
seed_window(RfLimit *limit, List *uses, int from, int to)
{
	int64		now_us = rf_gate_now_us();
	TimestampTz now = GetCurrentTimestamp();
	int64		out = 0;

	for (int i = from; i < to; i++)
	{
		const RfRateUse *use = list_nth(uses, i);

		if (i > from && out > use->outstanding)
			rf_limit_add(limit, (uint32) (out - use->outstanding),
						 now_us - Max(now - use->granted_at, -ON_ITS_WAY_US));
		out = (int64) use->outstanding + use->tokens;
	}
	rf_limit_add(limit, (uint32) out, now_us + ON_ITS_WAY_US);
}
