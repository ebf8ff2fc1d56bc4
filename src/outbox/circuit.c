/*-------------------------------------------------------------------------
 *
 * circuit.c
 *	  What people want of circuits, and what became of them, on disk.
 *
 * IDENTIFICATION
 *	  src/outbox/circuit.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"

#include "outbox/circuit.h"
#include "outbox/statement.h"
#include "settings.h"

static Datum get(HeapTuple tuple, int column);

List *
rf_circuit_forced(void)
{
	static RfStatement statement = {
		"SELECT coalesce(f.server, 0), f.account, f.state, f.reason, f.until FROM roleferry.forced_circuit AS f",
		0, {0}, NULL
	};
	uint64		count = rf_statement_run(&statement, NULL, NULL);
	List	   *forced = NIL;

	for (uint64 i = 0; i < count; i++)
	{
		HeapTuple	tuple = SPI_tuptable->vals[i];
		RfForcedCircuit *f = palloc0(sizeof(RfForcedCircuit));

		f->server = DatumGetObjectId(get(tuple, 1));
		f->account = TextDatumGetCString(get(tuple, 2));
		f->force = strcmp(TextDatumGetCString(get(tuple, 3)), "open") == 0 ?
			RF_BREAKER_FORCED_OPEN : RF_BREAKER_FORCED_CLOSED;
		f->reason = TextDatumGetCString(get(tuple, 4));
		f->until = DatumGetTimestampTz(get(tuple, 5));
		forced = lappend(forced, f);
	}
	return forced;
}

void
rf_circuit_record(const char *account, TimestampTz at, const char *from,
				  const char *to, const char *reason)
{
	static RfStatement statement = {
		"INSERT INTO roleferry.circuit_event (at, account, from_state, to_state, reason) VALUES ($1, $2, $3, $4, $5)",
		5, {TIMESTAMPTZOID, TEXTOID, TEXTOID, TEXTOID, TEXTOID}, NULL
	};
	Datum		values[5];

	values[0] = TimestampTzGetDatum(at);
	values[1] = CStringGetTextDatum(account);
	values[2] = CStringGetTextDatum(from);
	values[3] = CStringGetTextDatum(to);
	values[4] = CStringGetTextDatum(rf_text_to_server(reason));
	(void) rf_statement_run(&statement, values, NULL);
}

void
rf_circuit_purge(void)
{
	static RfStatement forced = {
		"DELETE FROM roleferry.forced_circuit AS f WHERE f.until < pg_catalog.now()", 0, {0}, NULL
	};
	static RfStatement events = {
		"DELETE FROM roleferry.circuit_event AS e WHERE e.at < pg_catalog.now() - pg_catalog.make_interval(mins => $1)",
		1, {INT4OID}, NULL
	};
	Datum		minutes = Int32GetDatum(rf_attempt_retention);

	(void) rf_statement_run(&forced, NULL, NULL);
	(void) rf_statement_run(&events, &minutes, NULL);
}

static Datum
get(HeapTuple tuple, int column)
{
	bool		isnull;

	return SPI_getbinval(tuple, SPI_tuptable->tupdesc, column, &isnull);
}
