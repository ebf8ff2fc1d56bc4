/*-------------------------------------------------------------------------
 *
 * clock_step.c
 *	  Rows that were dated by a clock which has been set since.
 *
 * IDENTIFICATION
 *	  src/outbox/clock_step.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "utils/timestamp.h"

#include "outbox/clock_step.h"
#include "outbox/statement.h"

#define JOBS_BATCH	5000

static Datum interval_of(int64 us);

void
rf_clock_step_redate(int64 by_us)
{
	static RfStatement statements[] = {
		{"UPDATE roleferry.rate_use AS u SET granted_at = u.granted_at + $1", 1, {INTERVALOID}, NULL},
		{"UPDATE roleferry.batch AS b SET created_at = b.created_at + $1 WHERE b.finished_at IS NULL", 1, {INTERVALOID}, NULL},
		{"UPDATE roleferry.webhook_event AS e SET next_at = e.next_at + $1 WHERE e.next_at IS NOT NULL", 1, {INTERVALOID}, NULL}
	};
	Datum		by = interval_of(by_us);

	for (size_t i = 0; i < lengthof(statements); i++)
		(void) rf_statement_run(&statements[i], &by, NULL);
}

/*
 * Nobody asked to have later what was to run when it was put in, and what was
 * tried already: its pause was ours.  For what was to run at a time of its own
 * the clock of now counts.
 */
bool
rf_clock_step_bring_back(int64 by_us, int64 *after_id)
{
	static RfStatement statement = {
		"WITH moved AS (UPDATE roleferry.outbox AS o SET run_at = CASE WHEN o.run_at <= o.created_at THEN pg_catalog.now()"
		" ELSE greatest(o.run_at - $2, pg_catalog.now()) END"
		" WHERE o.id = ANY (ARRAY("
		"SELECT c.id FROM roleferry.outbox AS c WHERE c.id > $1 AND c.worker IS NULL"
		" AND c.run_at > pg_catalog.now() AND c.run_at < 'infinity' AND (c.run_at <= c.created_at OR c.attempts > 0)"
		" ORDER BY c.id LIMIT " CppAsString2(JOBS_BATCH) " FOR UPDATE SKIP LOCKED)) RETURNING o.id)"
		" SELECT max(m.id), count(*) FROM moved AS m",
		2, {INT8OID, INTERVALOID}, NULL
	};
	Datum		values[2];
	bool		isnull;
	Datum		last;
	int64		count;

	values[0] = Int64GetDatum(*after_id);
	values[1] = interval_of(by_us);
	(void) rf_statement_run(&statement, values, NULL);
	last = SPI_getbinval(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 1, &isnull);
	if (!isnull)
		*after_id = DatumGetInt64(last);
	count = DatumGetInt64(SPI_getbinval(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 2, &isnull));
	return count == JOBS_BATCH;
}

int64
rf_clock_step_ahead_us(void)
{
	static RfStatement newest = {
		"SELECT o.created_at FROM roleferry.outbox AS o ORDER BY o.id DESC LIMIT 1", 0, {0}, NULL
	};
	bool		isnull;

	if (rf_statement_run(&newest, NULL, NULL) == 0)
		return 0;
	return Max(DatumGetTimestampTz(SPI_getbinval(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 1, &isnull)) -
			   GetCurrentTimestamp(), 0);
}

static Datum
interval_of(int64 us)
{
	Interval   *interval = palloc0(sizeof(Interval));

	interval->time = us;
	return IntervalPGetDatum(interval);
}
