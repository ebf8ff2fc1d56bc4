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

#include "access/xact.h"
#include "catalog/namespace.h"
#include "catalog/pg_type.h"
#include "mb/pg_wchar.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"
#include "utils/snapmgr.h"

#include "core/span.h"
#include "outbox/statement.h"

static void prepare(RfStatement *statement);
static char *convert(const char *utf8, size_t len, int encoding);
static char *ascii_of(const char *utf8);

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

Datum
rf_id_array(const int64 *ids, int nids)
{
	Datum	   *datums = palloc(Max(nids, 1) * sizeof(Datum));

	for (int i = 0; i < nids; i++)
		datums[i] = Int64GetDatum(ids[i]);
	return PointerGetDatum(construct_array(datums, nids, INT8OID, 8,
										   FLOAT8PASSBYVAL, TYPALIGN_DOUBLE));
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
 * What a provider said must never make recording fail, so nothing here raises
 * for a text: what the server's encoding cannot hold becomes "?".
 */
char *
rf_text_to_server(const char *utf8)
{
	int			encoding = GetDatabaseEncoding();
	size_t		len = strlen(utf8);

	if (encoding != PG_UTF8 && encoding != PG_SQL_ASCII)
		return convert(utf8, len, encoding);
	if (pg_encoding_verifymbstr(PG_UTF8, utf8, (int) len) == (int) len)
		return pnstrdup(utf8, len);
	return ascii_of(utf8);
}

static char *
convert(const char *utf8, size_t len, int encoding)
{
	static Oid	conversion = InvalidOid;
	size_t		size = (len + 1) * MAX_CONVERSION_GROWTH + 1;
	char	   *copy = palloc(size);
	size_t		used = 0;
	size_t		done = 0;

	if (!OidIsValid(conversion) && IsTransactionState())
		conversion = FindDefaultConversionProc(PG_UTF8, encoding);
	if (!OidIsValid(conversion))
		return ascii_of(utf8);
	for (;;)
	{
		done += (size_t) pg_do_encoding_conversion_buf(conversion, PG_UTF8, encoding,
													   (unsigned char *) utf8 + done, (int) (len - done),
													   (unsigned char *) copy + used, (int) (size - used), true);
		used += strlen(copy + used);
		if (done >= len)
			return repalloc(copy, used + 1);
		copy[used++] = '?';
		done += Min((size_t) pg_encoding_mblen(PG_UTF8, utf8 + done), len - done);
	}
}

static char *
ascii_of(const char *utf8)
{
	char	   *copy = pstrdup(utf8);

	for (char *p = copy; *p; p++)
		if (IS_HIGHBIT_SET(*p))
			*p = '?';
	return copy;
}
