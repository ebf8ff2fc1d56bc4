/*-------------------------------------------------------------------------
 *
 * person_cache.c
 *	  People who were paid for.
 *
 * IDENTIFICATION
 *	  src/outbox/person_cache.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "mb/pg_wchar.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"

#include "outbox/people_cache.h"
#include "outbox/person_cache.h"
#include "outbox/statement.h"
#include "provider/people_json.h"
#include "settings.h"

#define PURGE_BATCH		1000

static Jsonb *person_jsonb(const RfPerson *person, const char *id);
static Datum text_array(const char *const *texts, size_t count);

void
rf_person_cache_find(const char *provider, const char **ids, int count,
					 bool latest, RfKeptPerson *kept)
{
	static RfStatement find = {
		"SELECT i.n, c.fetched_at, c.person::text"
		" FROM pg_catalog.unnest($2) WITH ORDINALITY AS i (id, n)"
		" JOIN roleferry.person_cache AS c ON c.provider OPERATOR(pg_catalog.=) $1"
		" AND c.person_id OPERATOR(pg_catalog.=) i.id",
		2, {TEXTOID, TEXTARRAYOID}, NULL
	};
	Datum		values[2];
	uint64		found;

	memset(kept, 0, sizeof(RfKeptPerson) * count);
	values[0] = CStringGetTextDatum(provider);
	values[1] = text_array(ids, count);
	found = latest ? rf_statement_read_latest(&find, values) : rf_statement_run(&find, values, NULL);
	for (uint64 i = 0; i < found; i++)
	{
		HeapTuple	tuple = SPI_tuptable->vals[i];
		TupleDesc	desc = SPI_tuptable->tupdesc;
		bool		isnull;
		RfKeptPerson *one = &kept[DatumGetInt64(SPI_getbinval(tuple, desc, 1, &isnull)) - 1];
		char	   *json = TextDatumGetCString(SPI_getbinval(tuple, desc, 3, &isnull));

		one->found = true;
		one->fetched_at = DatumGetTimestampTz(SPI_getbinval(tuple, desc, 2, &isnull));
		one->json = pg_server_to_any(json, strlen(json), PG_UTF8);
	}
}

int64
rf_person_cache_keeps_us(void)
{
	return (int64) rf_person_fresh * USECS_PER_MINUTE;
}

void
rf_person_cache_keep(const char *provider, const char *const *ids,
					 const RfPerson *people, size_t count)
{
	static RfStatement keep = {
		"INSERT INTO roleferry.person_cache AS c (provider, person_id, email, fetched_at, person)"
		" SELECT $1, e.id, pg_catalog.lower(e.person -> 0 ->> 'email'), pg_catalog.clock_timestamp(), e.person"
		" FROM ROWS FROM (unnest($2), unnest($3)) AS e (id, person)"
		" ON CONFLICT (provider, person_id) DO UPDATE SET email = excluded.email,"
		" fetched_at = excluded.fetched_at, person = excluded.person",
		3, {TEXTOID, TEXTARRAYOID, JSONBARRAYOID}, NULL
	};
	RfColumn	column;
	Datum		values[3];

	rf_column_init(&column, JSONBOID);
	for (size_t i = 0; i < count; i++)
		rf_column_add(&column, JsonbPGetDatum(person_jsonb(&people[i], ids[i])), false);
	values[0] = CStringGetTextDatum(provider);
	values[1] = text_array(ids, count);
	values[2] = rf_column_array(&column);
	(void) rf_statement_run(&keep, values, NULL);
}

/* Under the id that was asked for: records that were merged have another. */
static Jsonb *
person_jsonb(const RfPerson *person, const char *id)
{
	RfPerson	copy = *person;
	RfBuffer	json = {0};
	Jsonb	   *result;

	copy.id = unconstify(char *, id);
	rf_people_put_json(&json, &copy, 1);
	if (json.failed)
	{
		rf_buffer_free(&json);
		ereport(ERROR, (errcode(ERRCODE_OUT_OF_MEMORY), errmsg("could not write a person as JSON")));
	}
	result = rf_people_cache_jsonb(json.data);
	rf_buffer_free(&json);
	return result;
}

Jsonb *
rf_person_cache_rows(const char *provider, const char **ids, int count)
{
	static RfStatement rows = {
		"SELECT coalesce(pg_catalog.jsonb_agg(c.person -> 0 ORDER BY i.n), '[]'::pg_catalog.jsonb)"
		" FROM pg_catalog.unnest($1) WITH ORDINALITY AS i (id, n)"
		" JOIN roleferry.person_cache AS c ON c.provider = $2 AND c.person_id = i.id",
		2, {TEXTARRAYOID, TEXTOID}, NULL
	};
	Datum		values[2];
	bool		isnull;

	values[0] = text_array(ids, count);
	values[1] = CStringGetTextDatum(provider);
	if (rf_statement_run(&rows, values, NULL) != 1)
		return NULL;
	return DatumGetJsonbPCopy(SPI_getbinval(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 1, &isnull));
}

bool
rf_person_cache_purge(void)
{
	static RfStatement purge = {
		"DELETE FROM roleferry.person_cache AS p WHERE (p.provider, p.person_id) IN ("
		"SELECT c.provider, c.person_id FROM roleferry.person_cache AS c"
		" WHERE c.fetched_at < pg_catalog.now() - $1 LIMIT " CppAsString2(PURGE_BATCH) ")",
		1, {INTERVALOID}, NULL
	};
	Interval	age = {0};
	Datum		value = IntervalPGetDatum(&age);

	age.time = rf_person_cache_keeps_us() + USECS_PER_DAY;
	return rf_statement_run(&purge, &value, NULL) == PURGE_BATCH;
}

static Datum
text_array(const char *const *texts, size_t count)
{
	RfColumn	column;

	rf_column_init(&column, TEXTOID);
	for (size_t i = 0; i < count; i++)
		rf_column_add(&column, CStringGetTextDatum(texts[i]), false);
	return rf_column_array(&column);
}
