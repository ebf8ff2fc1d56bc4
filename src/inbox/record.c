/*-------------------------------------------------------------------------
 *
 * record.c
 *	  Rows of roleferry.webhook_event.
 *
 * A row is what makes an event happen once: two keys are unique, and whoever
 * inserts second waits for the first to commit or to roll back.  Rows are
 * inserted in the order of their ids, so that two requests with the same events
 * wait for each other in one direction only.
 *
 * IDENTIFICATION
 *	  src/inbox/record.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "lib/stringinfo.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"

#include "compat.h"
#include "outbox/statement.h"
#include "inbox/intake.h"

#define EPOCH_US	((int64) (POSTGRES_EPOCH_JDATE - UNIX_EPOCH_JDATE) * USECS_PER_DAY)
#define NCOLUMNS	10

static void add_ids(RfColumn *column, List *ids);
static char *ids_text(List *ids);
static void fill_columns(RfColumn *columns, const RfIncoming *event);
static RfIncoming *find_event(RfIncoming *events, int nevents, const char *event_id);
static void find_first(const RfIntake *intake, RfIncoming *events, int nevents);
static void note_first(RfIncoming *events, int nevents, HeapTuple row, TupleDesc desc);
static bool is_same(const RfIncoming *event, const char *event_id, const bytea *content_key);
static Datum bytes_datum(const void *data, size_t len);

void
rf_intake_record(const RfIntake *intake, RfIncoming *events, int nevents)
{
	static RfStatement insert = {
		"INSERT INTO roleferry.webhook_event"
		" (source, event_id, type, kind, content_key, occurred_at, status, error, raw, pending, jobs, applied)"
		" SELECT $1, e.event_id, e.type, e.kind, e.content_key, e.occurred_at, e.status, e.error, e.raw,"
		" e.pending::bigint[], e.jobs::bigint[], e.pending IS NOT NULL FROM ROWS FROM (unnest($2), unnest($3), unnest($4), unnest($5), unnest($6),"
		" unnest($7), unnest($8), unnest($9), unnest($10), unnest($11))"
		" AS e (event_id, type, kind, content_key, occurred_at, status, error, raw, pending, jobs)"
		" ORDER BY e.event_id ON CONFLICT DO NOTHING RETURNING id, event_id",
		NCOLUMNS + 1, {TEXTOID, TEXTARRAYOID, TEXTARRAYOID, TEXTARRAYOID, BYTEAARRAYOID, TIMESTAMPTZARRAYOID,
		TEXTARRAYOID, TEXTARRAYOID, BYTEAARRAYOID, TEXTARRAYOID, TEXTARRAYOID}, NULL
	};
	static const Oid types[NCOLUMNS] = {TEXTOID, TEXTOID, TEXTOID, BYTEAOID, TIMESTAMPTZOID, TEXTOID, TEXTOID, BYTEAOID,
	TEXTOID, TEXTOID};
	RfColumn	columns[NCOLUMNS];
	Datum		values[NCOLUMNS + 1];
	uint64		ninserted;

	if (nevents == 0)
		return;
	for (int i = 0; i < NCOLUMNS; i++)
		rf_column_init(&columns[i], types[i]);
	for (int i = 0; i < nevents; i++)
	{
		events[i].row_id = 0;
		fill_columns(columns, &events[i]);
	}
	values[0] = CStringGetTextDatum(intake->source->name);
	for (int i = 0; i < NCOLUMNS; i++)
		values[i + 1] = rf_column_array(&columns[i]);
	ninserted = rf_statement_run(&insert, values, NULL);
	for (uint64 i = 0; i < ninserted; i++)
	{
		HeapTuple	row = SPI_tuptable->vals[i];
		bool		isnull;
		RfIncoming *event = find_event(events, nevents,
									   TextDatumGetCString(SPI_getbinval(row, SPI_tuptable->tupdesc, 2, &isnull)));

		if (event != NULL)
			event->row_id = DatumGetInt64(SPI_getbinval(row, SPI_tuptable->tupdesc, 1, &isnull));
	}
	if (ninserted < (uint64) nevents)
		find_first(intake, events, nevents);
}

void
rf_intake_settle(const RfIncoming *event)
{
	static RfStatement update = {
		"UPDATE roleferry.webhook_event AS e SET error = $3, pending = $4::bigint[], jobs = $5::bigint[], applied = $6,"
		" attempts = e.attempts + 1,"
		" status = CASE WHEN $2 = 'failed' AND NOT $6 AND e.attempts >= 9 THEN 'dead' ELSE $2 END,"
		" next_at = CASE WHEN $2 = 'failed' AND NOT $6 AND e.attempts < 9 THEN pg_catalog.now()"
		" + least(pg_catalog.power(2, e.attempts), 360) * '1 minute'::pg_catalog.interval END"
		" WHERE e.id = $1",
		6, {INT8OID, TEXTOID, TEXTOID, TEXTOID, TEXTOID, BOOLOID}, NULL
	};
	char	   *pending = ids_text(event->pending);
	char	   *jobs = ids_text(event->jobs);
	Datum		values[6];
	char		nulls[6] = {' ', ' ', event->error != NULL ? ' ' : 'n', pending != NULL ? ' ' : 'n', jobs != NULL ? ' ' : 'n', ' '};

	values[0] = Int64GetDatum(event->row_id);
	values[1] = CStringGetTextDatum(rf_intake_status(event));
	values[2] = event->error != NULL ? CStringGetTextDatum(event->error) : (Datum) 0;
	values[3] = pending != NULL ? CStringGetTextDatum(pending) : (Datum) 0;
	values[4] = jobs != NULL ? CStringGetTextDatum(jobs) : (Datum) 0;
	values[5] = BoolGetDatum(event->builtin_done);
	(void) rf_statement_run(&update, values, nulls);
}

static void
fill_columns(RfColumn *columns, const RfIncoming *event)
{
	int64		at_us = event->event.at_us;

	rf_column_add(&columns[0], CStringGetTextDatum(event->event_id), false);
	rf_column_add(&columns[1], CStringGetTextDatum(event->type), false);
	rf_column_add(&columns[2], CStringGetTextDatum(rf_event_kind_text(event->event.kind)), false);
	rf_column_add(&columns[3], bytes_datum(event->content_key, RF_CONTENT_KEY_BYTES), !event->has_content_key);
	/* Times that no timestamp holds are as good as none. */
	rf_column_add(&columns[4], TimestampTzGetDatum(at_us - EPOCH_US),
				  at_us <= 0 || !IS_VALID_TIMESTAMP(at_us - EPOCH_US));
	rf_column_add(&columns[5], CStringGetTextDatum(rf_intake_status(event)), false);
	rf_column_add(&columns[6], event->error != NULL ? CStringGetTextDatum(event->error) : (Datum) 0,
				  event->error == NULL);
	rf_column_add(&columns[7], bytes_datum(event->raw.data, event->raw.len), false);
	add_ids(&columns[8], event->pending);
	add_ids(&columns[9], event->jobs);
}

/* A list of lists is no array of arrays: each goes as its text. */
static void
add_ids(RfColumn *column, List *ids)
{
	char	   *written = ids_text(ids);

	rf_column_add(column, written != NULL ? CStringGetTextDatum(written) : (Datum) 0, written == NULL);
}

/* As int8[] is written; NULL: none. */
static char *
ids_text(List *ids)
{
	StringInfoData out;
	ListCell   *lc;

	if (ids == NIL)
		return NULL;
	initStringInfo(&out);
	foreach(lc, ids)
		appendStringInfo(&out, "%c" INT64_FORMAT, out.len == 0 ? '{' : ',', *(int64 *) lfirst(lc));
	appendStringInfoChar(&out, '}');
	return out.data;
}

/* The first of them that has no row yet: one id may be there twice. */
static RfIncoming *
find_event(RfIncoming *events, int nevents, const char *event_id)
{
	for (int i = 0; i < nevents; i++)
	{
		if (events[i].row_id == 0 && strcmp(events[i].event_id, event_id) == 0)
			return &events[i];
	}
	return NULL;
}

/* Who was not inserted has a row already. */
static void
find_first(const RfIntake *intake, RfIncoming *events, int nevents)
{
	static RfStatement find = {
		"SELECT e.id, e.event_id, e.content_key, e.status FROM roleferry.webhook_event AS e"
		" WHERE e.source = $1 AND e.event_id = ANY ($2)"
		" UNION ALL SELECT e.id, e.event_id, e.content_key, e.status FROM roleferry.webhook_event AS e"
		" WHERE e.source = $1 AND e.content_key = ANY ($3)",
		3, {TEXTOID, TEXTARRAYOID, BYTEAARRAYOID}, NULL
	};
	RfColumn	ids;
	RfColumn	keys;
	Datum		values[3];
	uint64		nrows;

	rf_column_init(&ids, TEXTOID);
	rf_column_init(&keys, BYTEAOID);
	for (int i = 0; i < nevents; i++)
	{
		if (events[i].row_id != 0)
			continue;
		events[i].fate = RF_FATE_DUPLICATE;
		events[i].first = "applied";
		rf_column_add(&ids, CStringGetTextDatum(events[i].event_id), false);
		if (events[i].has_content_key)
			rf_column_add(&keys, bytes_datum(events[i].content_key, RF_CONTENT_KEY_BYTES), false);
	}
	values[0] = CStringGetTextDatum(intake->source->name);
	values[1] = rf_column_array(&ids);
	values[2] = rf_column_array(&keys);
	nrows = rf_statement_run(&find, values, NULL);
	for (uint64 i = 0; i < nrows; i++)
		note_first(events, nevents, SPI_tuptable->vals[i], SPI_tuptable->tupdesc);
}

static void
note_first(RfIncoming *events, int nevents, HeapTuple row, TupleDesc desc)
{
	bool		isnull;
	int64		id = DatumGetInt64(SPI_getbinval(row, desc, 1, &isnull));
	char	   *event_id = TextDatumGetCString(SPI_getbinval(row, desc, 2, &isnull));
	Datum		key = SPI_getbinval(row, desc, 3, &isnull);
	bytea	   *content_key = isnull ? NULL : DatumGetByteaPP(key);
	char	   *status = TextDatumGetCString(SPI_getbinval(row, desc, 4, &isnull));

	for (int i = 0; i < nevents; i++)
	{
		if (events[i].fate != RF_FATE_DUPLICATE || !is_same(&events[i], event_id, content_key))
			continue;
		events[i].row_id = id;
		events[i].first = status;
	}
}

static bool
is_same(const RfIncoming *event, const char *event_id, const bytea *content_key)
{
	if (strcmp(event->event_id, event_id) == 0)
		return true;
	return event->has_content_key && content_key != NULL &&
		VARSIZE_ANY_EXHDR(content_key) == RF_CONTENT_KEY_BYTES &&
		memcmp(VARDATA_ANY(content_key), event->content_key, RF_CONTENT_KEY_BYTES) == 0;
}

static Datum
bytes_datum(const void *data, size_t len)
{
	bytea	   *bytes = palloc(VARHDRSZ + len);

	SET_VARSIZE(bytes, VARHDRSZ + len);
	if (len > 0)
		memcpy(VARDATA(bytes), data, len);
	return PointerGetDatum(bytes);
}
