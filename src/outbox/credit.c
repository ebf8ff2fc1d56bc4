/*-------------------------------------------------------------------------
 *
 * credit.c
 *	  What calls have cost, and accounts that are stopped, on disk.
 *
 * IDENTIFICATION
 *	  src/outbox/credit.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"

#include "outbox/credit.h"
#include "outbox/statement.h"
#include "settings.h"

static Datum get(HeapTuple tuple, int column);

void
rf_credit_record(List *uses)
{
	static RfStatement statement = {
		"INSERT INTO roleferry.credit_use (at, server, account, endpoint, job_id, credits)"
		" SELECT u.at, u.server, u.account, u.endpoint, nullif(u.job_id, 0), u.credits"
		" FROM ROWS FROM (unnest($1), unnest($2), unnest($3), unnest($4), unnest($5), unnest($6))"
		" AS u (at, server, account, endpoint, job_id, credits)",
		6, {TIMESTAMPTZARRAYOID, OIDARRAYOID, TEXTARRAYOID, TEXTARRAYOID, INT8ARRAYOID, INT8ARRAYOID}, NULL
	};
	static const Oid types[] = {TIMESTAMPTZOID, OIDOID, TEXTOID, TEXTOID, INT8OID, INT8OID};
	RfColumn	columns[6];
	Datum		values[6];
	ListCell   *lc;

	if (uses == NIL)
		return;
	for (int i = 0; i < 6; i++)
		rf_column_init(&columns[i], types[i]);
	foreach(lc, uses)
	{
		const RfCreditUse *use = lfirst(lc);

		rf_column_add(&columns[0], TimestampTzGetDatum(use->at), false);
		rf_column_add(&columns[1], ObjectIdGetDatum(use->server), false);
		rf_column_add(&columns[2], CStringGetTextDatum(use->account), false);
		rf_column_add(&columns[3], CStringGetTextDatum(use->endpoint), false);
		rf_column_add(&columns[4], Int64GetDatum(use->job_id), false);
		rf_column_add(&columns[5], Int64GetDatum(use->credits), false);
	}
	for (int i = 0; i < 6; i++)
		values[i] = rf_column_array(&columns[i]);
	(void) rf_statement_run(&statement, values, NULL);
}

List *
rf_credit_stops(void)
{
	static RfStatement statement = {
		"SELECT s.server, s.account, s.reason, s.until FROM roleferry.account_stop AS s"
		" WHERE s.until > pg_catalog.now()",
		0, {0}, NULL
	};
	uint64		count = rf_statement_run(&statement, NULL, NULL);
	List	   *stops = NIL;

	for (uint64 i = 0; i < count; i++)
	{
		HeapTuple	tuple = SPI_tuptable->vals[i];
		RfAccountStop *stop = palloc0(sizeof(RfAccountStop));

		stop->server = DatumGetObjectId(get(tuple, 1));
		stop->account = TextDatumGetCString(get(tuple, 2));
		stop->reason = TextDatumGetCString(get(tuple, 3));
		stop->until = DatumGetTimestampTz(get(tuple, 4));
		stops = lappend(stops, stop);
	}
	return stops;
}

/* A later reset time replaces an earlier one; both say the same. */
void
rf_credit_stop(const RfAccountStop *stop)
{
	static RfStatement statement = {
		"INSERT INTO roleferry.account_stop AS s (account, server, kind, reason, until) VALUES ($1, $2, 'quota', $3, $4)"
		" ON CONFLICT (server, kind) DO UPDATE SET account = excluded.account, reason = excluded.reason,"
		" until = excluded.until, stopped_at = CASE WHEN s.until > pg_catalog.now() THEN s.stopped_at"
		" ELSE excluded.stopped_at END",
		4, {TEXTOID, OIDOID, TEXTOID, TIMESTAMPTZOID}, NULL
	};
	Datum		values[4];

	values[0] = CStringGetTextDatum(stop->account);
	values[1] = ObjectIdGetDatum(stop->server);
	values[2] = CStringGetTextDatum(rf_text_to_server(stop->reason));
	values[3] = TimestampTzGetDatum(stop->until);
	(void) rf_statement_run(&statement, values, NULL);
}

void
rf_credit_purge(void)
{
	static RfStatement stops = {
		"DELETE FROM roleferry.account_stop AS s WHERE s.until < pg_catalog.now()"
		" OR NOT EXISTS (SELECT FROM pg_catalog.pg_foreign_server AS f WHERE f.oid = s.server)",
		0, {0}, NULL
	};
	static RfStatement uses = {
		"DELETE FROM roleferry.credit_use AS u WHERE u.at < pg_catalog.now() - pg_catalog.make_interval(mins => $1)",
		1, {INT4OID}, NULL
	};
	Datum		minutes = Int32GetDatum(rf_message_retention);

	(void) rf_statement_run(&stops, NULL, NULL);
	(void) rf_statement_run(&uses, &minutes, NULL);
}

static Datum
get(HeapTuple tuple, int column)
{
	bool		isnull;

	return SPI_getbinval(tuple, SPI_tuptable->tupdesc, column, &isnull);
}
