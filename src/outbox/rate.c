/*-------------------------------------------------------------------------
 *
 * rate.c
 *	  Rate limits as they are written, and their use as it is on disk.
 *
 * IDENTIFICATION
 *	  src/outbox/rate.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"

#include "outbox/rate.h"
#include "outbox/statement.h"

static const char *const by_texts[] = {"", "from_addr", "to_domain", "tenant_key"};

static Datum get(HeapTuple tuple, int column);
static RfRateRule *read_rule(HeapTuple tuple);
static RfRateUse *read_use(HeapTuple tuple);

List *
rf_rate_rules(void)
{
	static RfStatement statement = {
		"SELECT l.id, coalesce(l.server, 0), l.account, l.endpoint, l.key, l.max_requests,"
		" (extract(epoch FROM l.per) OPERATOR(pg_catalog.*) 1000000)::pg_catalog.int8, l.pace,"
		" l.counts = 'credits'::pg_catalog.text FROM roleferry.rate_rule AS l",
		0, {0}, NULL
	};
	uint64		count = rf_statement_run(&statement, NULL, NULL);
	List	   *rules = NIL;

	for (uint64 i = 0; i < count; i++)
		rules = lappend(rules, read_rule(SPI_tuptable->vals[i]));
	return rules;
}

List *
rf_rate_uses(void)
{
	static RfStatement statement = {
		"SELECT u.limit_id, u.key_hash, u.granted_at, u.tokens, u.outstanding FROM roleferry.rate_use AS u"
		" ORDER BY u.limit_id, u.key_hash, u.id",
		0, {0}, NULL
	};
	uint64		count = rf_statement_run(&statement, NULL, NULL);
	List	   *uses = NIL;

	for (uint64 i = 0; i < count; i++)
		uses = lappend(uses, read_use(SPI_tuptable->vals[i]));
	return uses;
}

void
rf_rate_write(List *uses)
{
	static RfStatement statement = {
		"INSERT INTO roleferry.rate_use (limit_id, key_hash, granted_at, tokens, outstanding)"
		" SELECT * FROM ROWS FROM (unnest($1), unnest($2), unnest($3), unnest($4), unnest($5))",
		5, {INT8ARRAYOID, INT8ARRAYOID, TIMESTAMPTZARRAYOID, INT4ARRAYOID, INT4ARRAYOID}, NULL
	};
	static const Oid types[] = {INT8OID, INT8OID, TIMESTAMPTZOID, INT4OID, INT4OID};
	RfColumn	columns[5];
	Datum		values[5];
	ListCell   *lc;

	if (uses == NIL)
		return;
	for (int i = 0; i < 5; i++)
		rf_column_init(&columns[i], types[i]);
	foreach(lc, uses)
	{
		const RfRateUse *use = lfirst(lc);

		rf_column_add(&columns[0], Int64GetDatum(use->limit_id), false);
		rf_column_add(&columns[1], Int64GetDatum((int64) use->key_hash), false);
		rf_column_add(&columns[2], TimestampTzGetDatum(use->granted_at), false);
		rf_column_add(&columns[3], Int32GetDatum((int32) use->tokens), false);
		rf_column_add(&columns[4], Int32GetDatum((int32) use->outstanding), false);
	}
	for (int i = 0; i < 5; i++)
		values[i] = rf_column_array(&columns[i]);
	(void) rf_statement_run(&statement, values, NULL);
}

void
rf_rate_release(const int64 *ids, int nids)
{
	static RfStatement statement = {
		"UPDATE roleferry.outbox AS o SET run_at = pg_catalog.now()"
		" WHERE o.id = ANY ($1) AND o.worker IS NULL AND o.run_at > pg_catalog.now() AND o.run_at < 'infinity'",
		1, {INT8ARRAYOID}, NULL
	};
	RfColumn	column;
	Datum		array;

	rf_column_init(&column, INT8OID);
	for (int i = 0; i < nids; i++)
		rf_column_add(&column, Int64GetDatum(ids[i]), false);
	array = rf_column_array(&column);
	(void) rf_statement_run(&statement, &array, NULL);
}

/*
 * Where a later block of the same window is older than the window, every
 * token of before it has come back.  The last block of a window is void
 * after one window, and no request takes longer than an hour.  Defaults have
 * ids below 0, no row, and no window of more than a day.  A day of a window has
 * 24 hours, and a month 30 days, whatever the calendar says.
 */
void
rf_rate_purge(void)
{
#define WINDOW "pg_catalog.make_interval(secs => extract(epoch FROM l.per)::pg_catalog.float8)"
	static RfStatement statement = {
		"DELETE FROM roleferry.rate_use AS u WHERE CASE WHEN u.limit_id < 0"
		" THEN u.granted_at < pg_catalog.now() - '3 days'::pg_catalog.interval ELSE NOT EXISTS ("
		"SELECT FROM roleferry.rate_limit AS l WHERE l.id = u.limit_id"
		" AND u.granted_at >= pg_catalog.now() - 2 * " WINDOW " - '2 hours'::pg_catalog.interval"
		" AND NOT EXISTS (SELECT FROM roleferry.rate_use AS n WHERE n.limit_id = u.limit_id"
		" AND n.key_hash = u.key_hash AND n.id > u.id AND n.granted_at < pg_catalog.now() - " WINDOW ")) END",
		0, {0}, NULL
	};

	(void) rf_statement_run(&statement, NULL, NULL);
}

static Datum
get(HeapTuple tuple, int column)
{
	bool		isnull;

	return SPI_getbinval(tuple, SPI_tuptable->tupdesc, column, &isnull);
}

static RfRateRule *
read_rule(HeapTuple tuple)
{
	RfRateRule *rule = palloc0(sizeof(RfRateRule));
	char	   *by = TextDatumGetCString(get(tuple, 5));

	rule->id = DatumGetInt64(get(tuple, 1));
	rule->server = DatumGetObjectId(get(tuple, 2));
	rule->account = TextDatumGetCString(get(tuple, 3));
	rule->endpoint = TextDatumGetCString(get(tuple, 4));
	for (size_t i = 0; i < lengthof(by_texts); i++)
		if (strcmp(by, by_texts[i]) == 0)
			rule->by = (RfRateBy) i;
	rule->max = (uint32) DatumGetInt32(get(tuple, 6));
	rule->per_us = DatumGetInt64(get(tuple, 7));
	rule->pace = DatumGetBool(get(tuple, 8));
	rule->credits = DatumGetBool(get(tuple, 9));
	return rule;
}

static RfRateUse *
read_use(HeapTuple tuple)
{
	RfRateUse  *use = palloc0(sizeof(RfRateUse));

	use->limit_id = DatumGetInt64(get(tuple, 1));
	use->key_hash = (uint64) DatumGetInt64(get(tuple, 2));
	use->granted_at = DatumGetTimestampTz(get(tuple, 3));
	use->tokens = (uint32) DatumGetInt32(get(tuple, 4));
	use->outstanding = (uint32) DatumGetInt32(get(tuple, 5));
	return use;
}
