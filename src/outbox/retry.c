/*-------------------------------------------------------------------------
 *
 * retry.c
 *	  The table retry_policy: how jobs are tried again.
 *
 * IDENTIFICATION
 *	  src/outbox/retry.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "outbox/retry.h"
#include "outbox/statement.h"

static int64 number_at(HeapTuple row, int column, int64 otherwise);

List *
rf_retry_rows(void)
{
	/* "any" last: the first that fits is the one. */
	static RfStatement all = {
		"SELECT p.task, p.outcome, p.max_attempts::bigint, (extract(epoch FROM p.base) * 1000000)::bigint,"
		" (extract(epoch FROM p.cap) * 1000000)::bigint FROM roleferry.retry_policy AS p ORDER BY p.task = '*', p.task",
		0, {0}, NULL
	};
	MemoryContext context = CurrentMemoryContext;
	uint64		count = rf_statement_run(&all, NULL, NULL);
	MemoryContext old = MemoryContextSwitchTo(context);
	List	   *rows = NIL;

	for (uint64 i = 0; i < count; i++)
	{
		HeapTuple	tuple = SPI_tuptable->vals[i];
		RfRetryRow *row = palloc(sizeof(RfRetryRow));

		row->task = SPI_getvalue(tuple, SPI_tuptable->tupdesc, 1);
		row->outcome = SPI_getvalue(tuple, SPI_tuptable->tupdesc, 2);
		row->max_attempts = (int) number_at(tuple, 3, 0);
		row->base_us = number_at(tuple, 4, -1);
		row->cap_us = number_at(tuple, 5, -1);
		rows = lappend(rows, row);
	}
	MemoryContextSwitchTo(old);
	return rows;
}

static int64
number_at(HeapTuple row, int column, int64 otherwise)
{
	bool		isnull;
	Datum		value = SPI_getbinval(row, SPI_tuptable->tupdesc, column, &isnull);

	return isnull ? otherwise : DatumGetInt64(value);
}
