/*-------------------------------------------------------------------------
 *
 * stat_event.c
 *	  How many events of webhooks came, by kind and by what became of them.
 *
 * IDENTIFICATION
 *	  src/shmem/stat_event.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xact.h"
#include "miscadmin.h"

#include "shmem/stat_area.h"
#include "shmem/stat_event.h"

static const char *const texts[RF_STAT_EVENTS] = {"accepted", "duplicate", "failed"};

/* Of the transaction under way. */
static RfStatDatabase *place = NULL;
static uint32 pending[RF_STAT_EVENT_KINDS][RF_STAT_EVENTS];
static bool any_pending = false;

static void at_end(XactEvent event, void *arg);

void
rf_stat_event_note(int kind, const char *outcome)
{
	static bool registered = false;

	if (!registered)
		RegisterXactCallback(at_end, NULL);
	registered = true;

	/* Now: nothing may fail at the commit. */
	if (place == NULL || place->database != MyDatabaseId)
		place = rf_stat_database_place(MyDatabaseId);
	if (place == NULL || kind < 0 || kind >= RF_STAT_EVENT_KINDS)
		return;
	for (int i = 0; i < RF_STAT_EVENTS; i++)
		if (strcmp(texts[i], outcome) == 0)
			pending[kind][i]++;
	any_pending = true;
}

void
rf_stat_events(Oid database, uint64 events[RF_STAT_EVENT_KINDS][RF_STAT_EVENTS])
{
	RfStatDatabase *its = rf_stat_database_place(database);

	for (int kind = 0; kind < RF_STAT_EVENT_KINDS; kind++)
		for (int i = 0; i < RF_STAT_EVENTS; i++)
			events[kind][i] = its != NULL ? pg_atomic_read_u64(&its->events[kind][i]) : 0;
}

const char *
rf_stat_event_text(RfStatEvent what)
{
	return texts[what];
}

static void
at_end(XactEvent event, void *arg)
{
	if (!any_pending)
		return;
	if (event == XACT_EVENT_COMMIT)
	{
		for (int kind = 0; kind < RF_STAT_EVENT_KINDS; kind++)
			for (int i = 0; i < RF_STAT_EVENTS; i++)
				if (pending[kind][i] > 0)
					pg_atomic_fetch_add_u64(&place->events[kind][i], pending[kind][i]);
	}
	else if (event != XACT_EVENT_ABORT && event != XACT_EVENT_PREPARE)
		return;
	memset(pending, 0, sizeof(pending));
	any_pending = false;
}
