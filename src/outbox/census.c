/*-------------------------------------------------------------------------
 *
 * census.c
 *	  How many jobs wait, as far as that is cheap to know.
 *
 * A strand is read from its mark on, so what was served before is not walked
 * over again, and never further than asked for.
 *
 * IDENTIFICATION
 *	  src/outbox/census.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "utils/timestamp.h"

#include "outbox/census.h"
#include "outbox/statement.h"

void
rf_census_strand(const RfStrand *strand, TimestampTz now, int most,
				 RfCensusFound found, void *context)
{
	static RfStatement count = {
		"SELECT coalesce(c.queue, ''), pg_catalog.count(*), pg_catalog.count(*) FILTER (WHERE c.run_at <= $5)"
		" FROM (SELECT o.queue, o.run_at FROM roleferry.outbox AS o"
		" WHERE o.lane = $1 AND o.priority = $2 AND o.worker IS NULL AND (o.run_at, o.id) >= ($3, $4)"
		" ORDER BY o.run_at, o.id LIMIT $6) AS c GROUP BY 1",
		6, {INT8OID, INT2OID, TIMESTAMPTZOID, INT8OID, TIMESTAMPTZOID, INT4OID}, NULL
	};
	Datum		values[6];
	uint64		nqueues;

	values[0] = Int64GetDatum(strand->lane);
	values[1] = Int16GetDatum((int16) strand->priority);
	values[2] = TimestampTzGetDatum(strand->run_at);
	values[3] = Int64GetDatum(strand->id);
	values[4] = TimestampTzGetDatum(now);
	values[5] = Int32GetDatum(most);
	nqueues = rf_statement_run(&count, values, NULL);
	for (uint64 i = 0; i < nqueues; i++)
	{
		HeapTuple	row = SPI_tuptable->vals[i];
		TupleDesc	desc = SPI_tuptable->tupdesc;
		bool		isnull;

		found(SPI_getvalue(row, desc, 1), DatumGetInt64(SPI_getbinval(row, desc, 2, &isnull)),
			  DatumGetInt64(SPI_getbinval(row, desc, 3, &isnull)), context);
	}
	SPI_freetuptable(SPI_tuptable);
}

int64
rf_census_parked(int most, RfCensusFound found, void *context)
{
	static RfStatement count = {
		"SELECT coalesce(c.queue, ''), pg_catalog.count(*)"
		" FROM (SELECT o.queue FROM roleferry.outbox AS o WHERE o.lane < 0 AND o.worker IS NULL"
		" ORDER BY o.lane, o.priority, o.run_at, o.id LIMIT $1) AS c GROUP BY 1",
		1, {INT4OID}, NULL
	};
	Datum		value = Int32GetDatum(most);
	uint64		nqueues = rf_statement_run(&count, &value, NULL);
	int64		counted = 0;

	for (uint64 i = 0; i < nqueues; i++)
	{
		bool		isnull;
		int64		waiting = DatumGetInt64(SPI_getbinval(SPI_tuptable->vals[i], SPI_tuptable->tupdesc, 2, &isnull));

		counted += waiting;
		found(SPI_getvalue(SPI_tuptable->vals[i], SPI_tuptable->tupdesc, 1), waiting, 0, context);
	}
	SPI_freetuptable(SPI_tuptable);
	return counted;
}

int64
rf_census_estimate(void)
{
	static RfStatement live = {
		"SELECT pg_catalog.pg_stat_get_live_tuples('roleferry.outbox'::pg_catalog.regclass)", 0, {0}, NULL
	};
	bool		isnull;

	(void) rf_statement_run(&live, NULL, NULL);
	return DatumGetInt64(SPI_getbinval(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 1, &isnull));
}
