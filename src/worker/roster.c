/*-------------------------------------------------------------------------
 *
 * roster.c
 *	  The accounts as the dispatcher uses them, and orders of accounts.
 *
 * IDENTIFICATION
 *	  src/worker/roster.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <limits.h>

#include "miscadmin.h"
#include "utils/memutils.h"

#include "shmem/stat.h"
#include "worker/limits.h"
#include "worker/roster.h"

#define SECRET_CHECK_US		INT64CONST(1000000)
#define SECRET_PAUSE_US		INT64CONST(2000000)

static List *entries = NIL;		/* of RfRosterEntry */
static uint64 known_generation = 0;

static RfRosterEntry *entry_of(const RfAccount *account);
static void update_entry(RfRosterEntry *entry, const RfAccount *account);
static bool replace_string(char **target, const char *value);
static void check_secret(RfRosterEntry *entry, int64 now_us);

void
rf_roster_refresh(void)
{
	List	   *accounts = rf_account_list();
	MemoryContext old;
	List	   *seen = NIL;
	ListCell   *lc;
	Oid		   *servers;
	int			nservers = 0;

	if (rf_account_generation() == known_generation)
		return;

	old = MemoryContextSwitchTo(TopMemoryContext);
	servers = palloc((list_length(accounts) + 1) * sizeof(Oid));
	foreach(lc, accounts)
	{
		RfAccount  *account = lfirst(lc);
		RfRosterEntry *entry = entry_of(account);

		update_entry(entry, account);
		seen = lappend(seen, entry);
		servers[nservers++] = account->serverid;
	}
	foreach(lc, entries)
		((RfRosterEntry *) lfirst(lc))->present = list_member_ptr(seen, lfirst(lc));
	list_free(seen);
	rf_gate_forget_missing(MyDatabaseId, servers, nservers);
	rf_stat_forget_missing(MyDatabaseId, servers, nservers);
	pfree(servers);
	MemoryContextSwitchTo(old);
	known_generation = rf_account_generation();
}

RfRosterEntry *
rf_roster_find(const char *name)
{
	ListCell   *lc;

	foreach(lc, entries)
	{
		RfRosterEntry *entry = lfirst(lc);

		if (entry->present && strcmp(entry->name, name) == 0)
			return entry;
	}
	return NULL;
}

RfRosterEntry *
rf_roster_find_server(Oid server)
{
	ListCell   *lc;

	foreach(lc, entries)
	{
		RfRosterEntry *entry = lfirst(lc);

		if (entry->present && entry->server == server)
			return entry;
	}
	return NULL;
}

RfRosterEntry *
rf_roster_at(int i)
{
	return i < list_length(entries) ? list_nth(entries, i) : NULL;
}

const RfSecret *
rf_roster_secret(RfRosterEntry *entry, bool reread)
{
	char		why[RF_SECRET_WHY_MAX];
	const RfSecret *secret = NULL;

	if (entry->secret_name == NULL)
		strlcpy(why, "option \"secret\" is not set", sizeof(why));
	else
		secret = rf_secret_get(entry->secret_name, reread, why);

	if (secret == NULL)
	{
		if (rf_gate_pause(MyDatabaseId, entry->server, RF_OUTCOME_CREDENTIAL, why, SECRET_PAUSE_US))
			ereport(LOG,
					(errmsg("account \"%s\" cannot be used: %s", entry->name, why)));
		return NULL;
	}
	return secret;
}

int
rf_roster_capacity(RfRosterEntry *entry, RfHttpEngine *engine, int64 now_us,
				   bool *closed)
{
	RfGateView	view;
	int64		opens_at_us;
	int			capacity;
	int			room;

	*closed = false;
	if (entry->paused_until_us > now_us)
	{
		*closed = true;
		return 0;
	}
	check_secret(entry, now_us);
	rf_gate_look(MyDatabaseId, entry->server, false, &view);
	if (view.state == RF_GATE_PAUSED || view.state == RF_GATE_OPEN)
	{
		*closed = true;
		return 0;
	}
	capacity = rf_http_host_capacity(engine, rf_roster_url(entry), now_us);
	if (view.state == RF_GATE_PROBE)
		capacity = Min(capacity, 1);
	if (entry->max_in_flight > 0)
	{
		/* A full account is passed over, as a closed one. */
		if (entry->in_flight >= entry->max_in_flight)
		{
			*closed = true;
			return 0;
		}
		capacity = Min(capacity, entry->max_in_flight - entry->in_flight);
	}
	room = rf_limits_room(entry, now_us, &opens_at_us);
	if (room == 0)
	{
		*closed = true;
		return 0;
	}
	capacity = Min(capacity, room);
	return capacity == INT_MAX ? INT_MAX : Max(capacity - entry->reserved, 0);
}

void
rf_roster_release_all(void)
{
	ListCell   *lc;

	foreach(lc, entries)
		((RfRosterEntry *) lfirst(lc))->reserved = 0;
}

const char *
rf_roster_url(RfRosterEntry *entry)
{
	RfAccountConfig config;

	memset(&config, 0, sizeof(config));
	config.base_url = entry->base_url;
	config.region = entry->region;
	return rf_provider_base_url(entry->provider, &config);
}

/*
 * Whether it is present or not.  One that has become another provider's is
 * another: requests that are under way keep the one that they asked, which
 * knows how to read their answers.
 */
static RfRosterEntry *
entry_of(const RfAccount *account)
{
	RfRosterEntry *entry;
	ListCell   *lc;

	foreach(lc, entries)
	{
		entry = lfirst(lc);
		if (entry->server == account->serverid && entry->provider == account->provider)
			return entry;
	}
	entry = palloc0(sizeof(RfRosterEntry));
	entry->server = account->serverid;
	entry->provider = account->provider;
	entries = lappend(entries, entry);
	return entry;
}

static void
update_entry(RfRosterEntry *entry, const RfAccount *account)
{
	bool		changed = !entry->present;

	entry->max_in_flight = account->max_in_flight;
	entry->cost_per_call = (uint32) account->cost_per_call;
	(void) replace_string(&entry->quota_group, account->quota_group);
	(void) replace_string(&entry->name, account->name);
	changed |= replace_string(&entry->base_url, account->base_url);
	changed |= replace_string(&entry->region, account->region);
	changed |= replace_string(&entry->domain, account->domain);
	changed |= replace_string(&entry->dialect, account->dialect);
	changed |= replace_string(&entry->secret_name, account->secret_name);
	entry->secret_checked_us = 0;

	/* An account that was put right gets a fresh chance. */
	if (changed)
		rf_gate_resume(MyDatabaseId, entry->server);
}

/* True when it was another. */
static bool
replace_string(char **target, const char *value)
{
	if (*target == NULL && value == NULL)
		return false;
	if (*target != NULL && value != NULL && strcmp(*target, value) == 0)
		return false;
	if (*target != NULL)
		pfree(*target);
	*target = value ? pstrdup(value) : NULL;
	return true;
}

/*
 * Once a second: is the key there, and did it change?  A new key opens a gate
 * that the old one had closed.
 */
static void
check_secret(RfRosterEntry *entry, int64 now_us)
{
	const RfSecret *secret;
	unsigned long version;

	if (entry->secret_checked_us != 0 &&
		now_us - entry->secret_checked_us < SECRET_CHECK_US)
		return;
	entry->secret_checked_us = now_us;

	secret = rf_roster_secret(entry, false);
	if (secret == NULL)
	{
		entry->secret_good = false;
		return;
	}
	version = rf_secret_version(secret);
	if (!entry->secret_good || version != entry->secret_version)
	{
		RfGateView	view;

		rf_gate_look(MyDatabaseId, entry->server, false, &view);
		if (view.state == RF_GATE_PAUSED && view.paused_by == RF_OUTCOME_CREDENTIAL)
			rf_gate_resume(MyDatabaseId, entry->server);
	}
	entry->secret_good = true;
	entry->secret_version = version;
}
