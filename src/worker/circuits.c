/*-------------------------------------------------------------------------
 *
 * circuits.c
 *	  Forced circuits, and the record of what circuits do.
 *
 * Changes are written at the next look around, so that no request waits for
 * it; a crash in between leaves the line in the log only.
 *
 * IDENTIFICATION
 *	  src/worker/circuits.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "miscadmin.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

#include "outbox/circuit.h"
#include "worker/circuits.h"
#include "worker/metrics.h"
#include "worker/notices.h"
#include "worker/roster.h"
#include "worker/session.h"

static List *unwritten = NIL;	/* of RfCircuitChange */

static void force_one(RfRosterEntry *entry, List *forced);
static void collect(void);
static void write_work(void *arg);
static bool may_tell(Oid server);
static const char *account_name(Oid server);

void
rf_circuits_refresh(void)
{
	List	   *forced = rf_circuit_forced();

	for (int i = 0; rf_roster_at(i) != NULL; i++)
		if (rf_roster_at(i)->present)
			force_one(rf_roster_at(i), forced);
}

void
rf_circuits_flush(void)
{
	bool		missing;

	collect();
	if (unwritten == NIL ||
		!rf_session_run(write_work, NULL, RF_COMMIT_LAZY, "recording circuits", &missing))
		return;
	list_free_deep(unwritten);
	unwritten = NIL;
}

static void
force_one(RfRosterEntry *entry, List *forced)
{
	TimestampTz now = GetCurrentTimestamp();
	ListCell   *lc;

	foreach(lc, forced)
	{
		const RfForcedCircuit *f = lfirst(lc);
		bool		its_server_lives = rf_roster_find_server(f->server) != NULL;
		int64		until_us = INT64_MAX;

		if (its_server_lives ? f->server != entry->server : strcmp(f->account, entry->name) != 0)
			continue;
		if (f->until <= now)
			continue;
		if (!TIMESTAMP_NOT_FINITE(f->until))
			until_us = rf_gate_now_us() + (f->until - now);
		rf_gate_force(MyDatabaseId, entry->server, f->force, until_us, f->reason);
		return;
	}
	rf_gate_force(MyDatabaseId, entry->server, RF_BREAKER_AUTO, 0, "no longer forced");
}

/* Openings and closings have their line in the log already. */
static void
collect(void)
{
	MemoryContext old = MemoryContextSwitchTo(TopMemoryContext);
	RfCircuitChange change;

	while (rf_gate_next_change(&change))
	{
		RfCircuitChange *copy = palloc(sizeof(RfCircuitChange));

		*copy = change;
		rf_metrics_circuit(change.server, change.to);
		unwritten = lappend(unwritten, copy);
		if ((change.to[0] == 'f' || change.from[0] == 'f' || change.to[0] == 'h') && may_tell(change.server))
			ereport(LOG,
					(errmsg("account \"%s\": circuit %s: %s", account_name(change.server),
							change.to, change.reason),
					 errdetail("account=%s from=%s to=%s", account_name(change.server), change.from, change.to)));
	}
	MemoryContextSwitchTo(old);
}

static void
write_work(void *arg)
{
	ListCell   *lc;

	foreach(lc, unwritten)
	{
		const RfCircuitChange *change = lfirst(lc);

		rf_circuit_record(account_name(change->server), change->at, change->from,
						  change->to, change->reason);
	}
}

static bool
may_tell(Oid server)
{
	RfRosterEntry *entry = rf_roster_find_server(server);

	return entry == NULL || rf_notices_admit(entry);
}

static const char *
account_name(Oid server)
{
	const RfRosterEntry *entry = rf_roster_find_server(server);

	return entry != NULL ? entry->name : "(dropped)";
}
