/*-------------------------------------------------------------------------
 *
 * captured.c
 *	  Jobs that roleferry.mode keeps from being sent, wherever they are.
 *
 * IDENTIFICATION
 *	  src/outbox/captured.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "utils/builtins.h"

#include "outbox/captured.h"
#include "outbox/insert.h"
#include "outbox/lookup_job.h"
#include "outbox/search_args.h"
#include "outbox/statement.h"

static RfCaptured *read_row(HeapTuple tuple, TupleDesc desc);

List *
rf_captured_list(const char *asker)
{
	static RfStatement find = {
		"SELECT c.*, coalesce((SELECT a.installation FROM roleferry.activation AS a LIMIT 1), '0') FROM ("
		"SELECT o.id, o.created_at, o.task, o.args, o.accounts, o.role FROM roleferry.outbox AS o"
		" WHERE o.mode OPERATOR(pg_catalog.=) 'capture' AND o.task OPERATOR(pg_catalog.=)"
		" ANY (ARRAY['send_email', '" RF_SEARCH_TASK "', " RF_LOOKUP_TASKS "])"
		" UNION ALL SELECT d.job_id, d.created_at, d.task, d.args, ARRAY[d.account], d.role"
		" FROM roleferry.dead_letter AS d WHERE d.state OPERATOR(pg_catalog.=) 'captured') AS c"
		" WHERE c.role OPERATOR(pg_catalog.=) $1"
		" OR pg_catalog.has_table_privilege($1::pg_catalog.name, 'roleferry.outbox', 'SELECT')"
		" ORDER BY c.id",
		1, {TEXTOID}, NULL
	};
	MemoryContext context = CurrentMemoryContext;
	MemoryContext old;
	Datum		value = CStringGetTextDatum(asker);
	List	   *captured = NIL;
	uint64		found;
	Oid			userid;
	int			security;

	rf_insert_begin_as_owner(&userid, &security);
	found = rf_statement_run(&find, &value, NULL);
	old = MemoryContextSwitchTo(context);
	for (uint64 i = 0; i < found; i++)
		captured = lappend(captured, read_row(SPI_tuptable->vals[i], SPI_tuptable->tupdesc));
	MemoryContextSwitchTo(old);
	rf_insert_end_as_owner(userid, security);
	return captured;
}

static RfCaptured *
read_row(HeapTuple tuple, TupleDesc desc)
{
	RfCaptured *one = palloc0(sizeof(RfCaptured));
	Datum		value;
	bool		isnull;

	one->job_id = DatumGetInt64(SPI_getbinval(tuple, desc, 1, &isnull));
	one->created_at = DatumGetTimestampTz(SPI_getbinval(tuple, desc, 2, &isnull));
	one->task = SPI_getvalue(tuple, desc, 3);
	value = SPI_getbinval(tuple, desc, 4, &isnull);
	if (!isnull)
		one->args = (Jsonb *) PG_DETOAST_DATUM_COPY(value);
	value = SPI_getbinval(tuple, desc, 5, &isnull);
	one->accounts = rf_name_list(value, isnull);
	one->role = SPI_getvalue(tuple, desc, 6);
	one->installation = SPI_getvalue(tuple, desc, 7);
	return one;
}
