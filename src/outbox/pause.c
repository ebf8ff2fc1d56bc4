/*-------------------------------------------------------------------------
 *
 * pause.c
 *	  The tables pause and queue, as the dispatcher reads them.
 *
 * IDENTIFICATION
 *	  src/outbox/pause.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "utils/builtins.h"
#include "utils/timestamp.h"

#include "outbox/pause.h"
#include "outbox/statement.h"

static Datum get(HeapTuple tuple, int column);

List *
rf_pause_list(void)
{
	static RfStatement statement = {
		"SELECT p.kind, p.name, coalesce(p.server, 0), p.until FROM roleferry.pause AS p WHERE p.until > pg_catalog.now()",
		0, {0}, NULL
	};
	uint64		count = rf_statement_run(&statement, NULL, NULL);
	List	   *pauses = NIL;

	for (uint64 i = 0; i < count; i++)
	{
		HeapTuple	tuple = SPI_tuptable->vals[i];
		char	   *kind = TextDatumGetCString(get(tuple, 1));
		RfPause    *pause = palloc0(sizeof(RfPause));

		pause->kind = kind[0] == 'q' ? RF_PAUSE_QUEUE : kind[1] == 'c' ? RF_PAUSE_ACCOUNT : RF_PAUSE_ALL;
		pause->name = TextDatumGetCString(get(tuple, 2));
		pause->server = DatumGetObjectId(get(tuple, 3));
		pause->until = DatumGetTimestampTz(get(tuple, 4));
		pauses = lappend(pauses, pause);
	}
	return pauses;
}

List *
rf_pause_bounds(void)
{
	static RfStatement statement = {
		"SELECT q.name, coalesce(q.concurrency, 0) FROM roleferry.queue AS q",
		0, {0}, NULL
	};
	uint64		count = rf_statement_run(&statement, NULL, NULL);
	List	   *bounds = NIL;

	for (uint64 i = 0; i < count; i++)
	{
		RfQueueBound *bound = palloc0(sizeof(RfQueueBound));

		bound->name = TextDatumGetCString(get(SPI_tuptable->vals[i], 1));
		bound->concurrency = DatumGetInt32(get(SPI_tuptable->vals[i], 2));
		bounds = lappend(bounds, bound);
	}
	return bounds;
}

void
rf_pause_purge(void)
{
	static RfStatement statement = {
		"DELETE FROM roleferry.pause AS p WHERE p.until < pg_catalog.now()", 0, {0}, NULL
	};

	(void) rf_statement_run(&statement, NULL, NULL);
}

static Datum
get(HeapTuple tuple, int column)
{
	bool		isnull;

	return SPI_getbinval(tuple, SPI_tuptable->tupdesc, column, &isnull);
}
