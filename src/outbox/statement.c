/*-------------------------------------------------------------------------
 *
 * statement.c
 *	  Prepared statements of ours, and arrays to feed them with.
 *
 * IDENTIFICATION
 *	  src/outbox/statement.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "mb/pg_wchar.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"
#include "utils/snapmgr.h"

#include "core/span.h"
#include "outbox/statement.h"

static void prepare(RfStatement *statement);

uint64
rf_statement_run(RfStatement *statement, Datum *values, const char *nulls)
{
	int			result;

	prepare(statement);
	result = SPI_execute_plan(statement->plan, values, nulls, false, 0);
	if (result < 0)
		elog(ERROR, "could not execute \"%s\": %s", statement->sql,
			 SPI_result_code_string(result));
	return SPI_processed;
}

uint64
rf_statement_read_latest(RfStatement *statement, Datum *values)
{
	int			result;

	prepare(statement);
	PushActiveSnapshot(GetLatestSnapshot());
	result = SPI_execute_snapshot(statement->plan, values, NULL, GetActiveSnapshot(),
								  InvalidSnapshot, true, false, 0);
	PopActiveSnapshot();
	if (result < 0)
		elog(ERROR, "could not execute \"%s\": %s", statement->sql,
			 SPI_result_code_string(result));
	return SPI_processed;
}

static void
prepare(RfStatement *statement)
{
	SPIPlanPtr	plan;

	if (statement->plan != NULL)
		return;
	plan = SPI_prepare(statement->sql, statement->nargs, statement->types);
	if (plan == NULL || SPI_keepplan(plan) != 0)
		elog(ERROR, "could not prepare \"%s\": %s", statement->sql,
			 SPI_result_code_string(SPI_result));
	statement->plan = plan;
}

void
rf_column_init(RfColumn *column, Oid type)
{
	column->type = type;
	column->state = initArrayResult(type, CurrentMemoryContext, false);
}

void
rf_column_add(RfColumn *column, Datum value, bool isnull)
{
	(void) accumArrayResult(column->state, value, isnull, column->type,
							CurrentMemoryContext);
}

void
rf_column_add_text(RfColumn *column, const char *utf8)
{
	if (utf8 == NULL)
		rf_column_add(column, (Datum) 0, true);
	else
		rf_column_add(column, CStringGetTextDatum(rf_text_to_server(utf8)), false);
}

Datum
rf_column_array(RfColumn *column)
{
	return makeArrayResult(column->state, CurrentMemoryContext);
}

int64
rf_interval_us(HeapTuple row, TupleDesc desc, int column)
{
	bool		isnull;
	Datum		value = SPI_getbinval(row, desc, column, &isnull);
	Interval   *interval = isnull ? NULL : DatumGetIntervalP(value);

	return interval == NULL ? 0 : rf_span_us(interval->month, interval->day, interval->time);
}

List *
rf_name_list(Datum array, bool isnull)
{
	List	   *names = NIL;
	Datum	   *elements;
	bool	   *nulls;
	int			nelements;

	if (isnull)
		return NIL;
	deconstruct_array(DatumGetArrayTypeP(array), TEXTOID, -1, false, TYPALIGN_INT,
					  &elements, &nulls, &nelements);
	for (int i = 0; i < nelements; i++)
		if (!nulls[i])
			names = lappend(names, TextDatumGetCString(elements[i]));
	return names;
}

/*
 * What a provider said must never make recording fail, so no conversion that
 * can raise is used: outside UTF-8 databases only ASCII passes.
 */
char *
rf_text_to_server(const char *utf8)
{
	char	   *copy = pstrdup(utf8);

	if (GetDatabaseEncoding() == PG_UTF8)
	{
		if (!pg_verifymbstr(copy, strlen(copy), true))
		{
			for (char *p = copy; *p; p++)
				if (IS_HIGHBIT_SET(*p))
					*p = '?';
		}
		return copy;
	}
	for (char *p = copy; *p; p++)
		if (IS_HIGHBIT_SET(*p))
			*p = '?';
	return copy;
}
