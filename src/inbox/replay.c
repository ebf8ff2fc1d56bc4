/*-------------------------------------------------------------------------
 *
 * replay.c
 *	  Recorded events taken up again.
 *
 * Those whose own effect failed are taken up when their time has come; everything
 * else is up to an operator, but for handlers that have jobs.
 *
 * From the bytes that came: what is read of them now may be more than what an
 * older version could read.  Rows that another session has taken up are passed
 * over; those that were applied are never taken up.
 *
 * IDENTIFICATION
 *	  src/inbox/replay.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"

#include "inbox/receive.h"
#include "outbox/statement.h"
#include "inbox/replay.h"

static uint64 find_rows(const RfReplay *replay);
static RfIncoming *read_row(HeapTuple row, TupleDesc desc, char **source);
static List *read_ids(Datum array, bool isnull);
static void take_up(const RfReplay *replay, const char *name, RfIncoming *event);
static Datum text_datum(const char *text, char *null);

void
rf_replay(const RfReplay *replay, void (*report) (void *arg, const RfIncoming *event), void *arg)
{
	uint64		count = find_rows(replay);
	SPITupleTable *table = SPI_tuptable;

	for (uint64 i = 0; i < count; i++)
	{
		char	   *source;
		RfIncoming *event = read_row(table->vals[i], table->tupdesc, &source);

		take_up(replay, source, event);
		report(arg, event);
		rf_event_free(&event->event);
	}
}

static uint64
find_rows(const RfReplay *replay)
{
#define ROW_COLUMNS "e.id, e.source, e.event_id, e.type, s.status, e.applied, e.pending, e.raw, e.jobs, e.attempts"
	static RfStatement find = {
		"SELECT " ROW_COLUMNS " FROM roleferry.webhook_event AS e CROSS JOIN LATERAL (SELECT CASE"
		" WHEN e.jobs IS NULL THEN e.status"
		" WHEN EXISTS (SELECT FROM roleferry.dead_letter AS d WHERE d.job_id = ANY (e.jobs)) THEN 'dead'"
		" WHEN EXISTS (SELECT FROM roleferry.outbox AS o WHERE o.id = ANY (e.jobs) AND o.failures > 0) THEN 'failed'"
		" ELSE e.status END) AS s (status)"
		" WHERE s.status IN ('failed', 'dead', 'shadow') AND e.raw IS NOT NULL"
		" AND ($1 IS NULL OR e.source = $1) AND ($2 IS NULL OR s.status = $2) AND ($3 IS NULL OR e.type = $3)"
		" AND ($4 IS NULL OR e.received_at >= $4)"
		" ORDER BY e.id LIMIT $5 FOR UPDATE OF e SKIP LOCKED",
		5, {TEXTOID, TEXTOID, TEXTOID, TIMESTAMPTZOID, INT4OID}, NULL
	};
	static RfStatement find_due = {
		"SELECT " ROW_COLUMNS " FROM roleferry.webhook_event AS e CROSS JOIN LATERAL (SELECT e.status) AS s (status)"
		" WHERE e.next_at <= pg_catalog.now() AND e.status = 'failed' AND e.raw IS NOT NULL"
		" ORDER BY e.next_at LIMIT $1 FOR UPDATE OF e SKIP LOCKED",
		1, {INT4OID}, NULL
	};
	Datum		values[5];
	char		nulls[5] = {' ', ' ', ' ', ' ', ' '};

	values[0] = Int32GetDatum(replay->max_events);
	if (replay->due)
		return rf_statement_run(&find_due, values, NULL);
	values[0] = text_datum(replay->source, &nulls[0]);
	values[1] = text_datum(replay->status, &nulls[1]);
	values[2] = text_datum(replay->type, &nulls[2]);
	values[3] = TimestampTzGetDatum(replay->since);
	if (replay->since == 0)
		nulls[3] = 'n';
	values[4] = Int32GetDatum(replay->max_events);
	return rf_statement_run(&find, values, nulls);
}

static RfIncoming *
read_row(HeapTuple row, TupleDesc desc, char **source)
{
	RfIncoming *event = palloc0(sizeof(RfIncoming));
	bool		isnull;
	bytea	   *raw;
	Datum		pending;

	event->row_id = DatumGetInt64(SPI_getbinval(row, desc, 1, &isnull));
	*source = TextDatumGetCString(SPI_getbinval(row, desc, 2, &isnull));
	event->event_id = TextDatumGetCString(SPI_getbinval(row, desc, 3, &isnull));
	event->type = TextDatumGetCString(SPI_getbinval(row, desc, 4, &isnull));
	event->first = TextDatumGetCString(SPI_getbinval(row, desc, 5, &isnull));
	event->builtin_done = DatumGetBool(SPI_getbinval(row, desc, 6, &isnull));
	pending = SPI_getbinval(row, desc, 7, &isnull);
	event->pending = read_ids(pending, isnull);
	raw = DatumGetByteaPP(SPI_getbinval(row, desc, 8, &isnull));
	event->raw.data = VARDATA_ANY(raw);
	event->raw.len = VARSIZE_ANY_EXHDR(raw);
	pending = SPI_getbinval(row, desc, 9, &isnull);
	event->jobs = read_ids(pending, isnull);
	event->untouched = DatumGetInt32(SPI_getbinval(row, desc, 10, &isnull)) == 0;
	event->fate = strcmp(event->first, "shadow") == 0 ? RF_FATE_SHADOW : RF_FATE_FAILED;
	return event;
}

static List *
read_ids(Datum array, bool isnull)
{
	List	   *ids = NIL;
	Datum	   *elements;
	bool	   *nulls;
	int			nelements;

	if (isnull)
		return NIL;
	deconstruct_array(DatumGetArrayTypeP(array), INT8OID, sizeof(int64), FLOAT8PASSBYVAL,
					  TYPALIGN_DOUBLE, &elements, &nulls, &nelements);
	for (int i = 0; i < nelements; i++)
	{
		int64	   *id = palloc(sizeof(int64));

		*id = DatumGetInt64(elements[i]);
		ids = lappend(ids, id);
	}
	return ids;
}

/* What could not be read may be readable now. */
static void
take_up(const RfReplay *replay, const char *name, RfIncoming *event)
{
	RfSource   *source = rf_source_find(name);

	if (source == NULL)
		event->error = "its source is gone, or not enabled";
	else
	{
		rf_event_read(source->provider, event->raw, &event->event);
		if (event->event.kind == RF_EVENT_UNREADABLE)
			event->error = rf_text_to_server(event->event.reason);
	}
	if (event->error == NULL)
	{
		if (event->untouched && event->pending == NIL)
			event->fate = RF_FATE_SHADOW;
		if (!replay->dry_run)
			(void) rf_receive_again(source, event, !replay->due);
		return;
	}
	event->fate = source == NULL ? RF_FATE_FAILED : RF_FATE_DEAD;

	/* It is not looked at for ever. */
	if (replay->due)
		rf_intake_settle(event);
}

static Datum
text_datum(const char *value, char *null)
{
	if (value == NULL)
		*null = 'n';
	return value != NULL ? CStringGetTextDatum(value) : (Datum) 0;
}
