/*-------------------------------------------------------------------------
 *
 * verdict.c
 *	  Verdicts on addresses as they are kept.
 *
 * IDENTIFICATION
 *	  src/outbox/verdict.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "lib/stringinfo.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"

#include "outbox/statement.h"
#include "outbox/verdict.h"
#include "settings.h"

#define PURGE_BATCH		1000
#define FLAG_SEPARATOR	"\x1f"

static void push_row(JsonbParseState **state, const char *email, RfAddressStatus address,
					 const RfKeptVerdict *kept);
static void push_text(JsonbParseState **state, const char *name, const char *value);
static void read_row(HeapTuple tuple, TupleDesc desc, RfKeptVerdict *kept);
static char *text_at(HeapTuple tuple, TupleDesc desc, int column);
static char *join_flags(const RfVerification *row);
static Datum minutes(int count);

void
rf_verdict_find(const char **emails, int count, bool latest, RfKeptVerdict *kept)
{
	static RfStatement find = {
		"SELECT i.n, c.checked_at, c.status, c.provider, c.raw, c.suggestion, c.flags"
		" FROM pg_catalog.unnest($1) WITH ORDINALITY AS i (email, n)"
		" JOIN roleferry.email_verdict_cache AS c ON c.email OPERATOR(pg_catalog.=) i.email",
		1, {TEXTARRAYOID}, NULL
	};
	MemoryContext context = CurrentMemoryContext;
	RfColumn	column;
	Datum		array;
	uint64		found;

	memset(kept, 0, sizeof(RfKeptVerdict) * count);
	rf_column_init(&column, TEXTOID);
	for (int i = 0; i < count; i++)
		rf_column_add(&column, CStringGetTextDatum(emails[i]), false);
	array = rf_column_array(&column);
	found = latest ? rf_statement_read_latest(&find, &array) : rf_statement_run(&find, &array, NULL);
	MemoryContextSwitchTo(context); /* SPI leaves its own */
	for (uint64 i = 0; i < found; i++)
	{
		bool		isnull;
		int64		n = DatumGetInt64(SPI_getbinval(SPI_tuptable->vals[i], SPI_tuptable->tupdesc, 1, &isnull));

		read_row(SPI_tuptable->vals[i], SPI_tuptable->tupdesc, &kept[n - 1]);
	}
}

bool
rf_verdict_answers(const RfKeptVerdict *kept, TimestampTz asked_at,
				   int64 max_age_us, TimestampTz now)
{
	if (!kept->found)
		return false;
	if (kept->checked_at >= asked_at)
		return true;
	return now - kept->checked_at < Min(rf_verdict_keeps_us(kept->status), max_age_us);
}

void
rf_verdict_keep(int64 batch_id, const char *provider,
				const RfVerification *rows, size_t count)
{
	/* As a condition of its own an IN would be a join, by nested loops. */
	static RfStatement keep = {
		"INSERT INTO roleferry.email_verdict_cache AS c (email, checked_at, status, provider, raw, suggestion, flags)"
		" SELECT DISTINCT ON (e.email) e.email, pg_catalog.clock_timestamp(), e.status, $6, e.raw, e.suggestion,"
		" pg_catalog.string_to_array(e.flags, E'\\x1f')"
		" FROM ROWS FROM (unnest($1), unnest($2), unnest($3), unnest($4), unnest($5))"
		" AS e (email, status, raw, suggestion, flags)"
		" WHERE CASE WHEN e.email IN (SELECT pg_catalog.unnest(b.items) FROM roleferry.batch AS b WHERE b.id = $7)"
		" THEN true ELSE false END"
		" ORDER BY e.email"
		" ON CONFLICT (email) DO UPDATE SET checked_at = excluded.checked_at, status = excluded.status,"
		" provider = excluded.provider, raw = excluded.raw, suggestion = excluded.suggestion, flags = excluded.flags",
		7, {TEXTARRAYOID, TEXTARRAYOID, TEXTARRAYOID, TEXTARRAYOID, TEXTARRAYOID, TEXTOID, INT8OID}, NULL
	};
	RfColumn	columns[5];
	Datum		values[7];

	for (int i = 0; i < 5; i++)
		rf_column_init(&columns[i], TEXTOID);
	for (size_t i = 0; i < count; i++)
	{
		char		folded[RF_VERIFY_ADDRESS_MAX + 1];
		RfText		email = {rows[i].email, strlen(rows[i].email)};

		if (rf_verify_address(email, folded) != RF_ADDRESS_OK)
			continue;
		rf_column_add_text(&columns[0], folded);
		rf_column_add_text(&columns[1], rf_verdict_text(rows[i].verdict));
		rf_column_add_text(&columns[2], rows[i].raw);
		rf_column_add_text(&columns[3], rows[i].suggestion);
		rf_column_add_text(&columns[4], join_flags(&rows[i]));
	}
	for (int i = 0; i < 5; i++)
		values[i] = rf_column_array(&columns[i]);
	values[5] = CStringGetTextDatum(provider);
	values[6] = Int64GetDatum(batch_id);
	(void) rf_statement_run(&keep, values, NULL);
}

void
rf_verdict_keep_rest(int64 batch_id, const char *provider)
{
	static RfStatement keep = {
		"INSERT INTO roleferry.email_verdict_cache (email, checked_at, status, provider)"
		" SELECT i.email, pg_catalog.clock_timestamp(), 'unknown', $2"
		" FROM roleferry.batch AS b CROSS JOIN LATERAL pg_catalog.unnest(b.items) AS i (email)"
		" LEFT JOIN roleferry.email_verdict_cache AS c ON c.email = i.email AND c.checked_at >= b.created_at"
		" WHERE b.id = $1 AND c.email IS NULL"
		" ON CONFLICT (email) DO UPDATE SET checked_at = excluded.checked_at, status = excluded.status,"
		" provider = excluded.provider, raw = NULL, suggestion = NULL, flags = NULL",
		2, {INT8OID, TEXTOID}, NULL
	};
	Datum		values[2];

	values[0] = Int64GetDatum(batch_id);
	values[1] = CStringGetTextDatum(provider);
	(void) rf_statement_run(&keep, values, NULL);
}

/* An unknown verdict waits a day for whoever asked and has not looked yet. */
bool
rf_verdict_purge(void)
{
	static RfStatement purge = {
		"DELETE FROM roleferry.email_verdict_cache AS v WHERE v.email = ANY (ARRAY("
		"SELECT c.email FROM roleferry.email_verdict_cache AS c WHERE c.checked_at < pg_catalog.now() -"
		" CASE c.status WHEN 'valid' THEN $1 WHEN 'invalid' THEN $2 WHEN 'risky' THEN $3 ELSE interval '1 day' END"
		" LIMIT " CppAsString2(PURGE_BATCH) "))",
		3, {INTERVALOID, INTERVALOID, INTERVALOID}, NULL
	};
	Datum		values[3];

	values[0] = minutes(rf_verify_valid_age);
	values[1] = minutes(rf_verify_invalid_age);
	values[2] = minutes(rf_verify_risky_age);
	return rf_statement_run(&purge, values, NULL) == PURGE_BATCH;
}

Jsonb *
rf_verdict_rows(char **emails, int nemails)
{
	JsonbParseState *state = NULL;
	const char **folded = MemoryContextAllocHuge(CurrentMemoryContext, (nemails + 1) * sizeof(char *));
	RfAddressStatus *addresses = MemoryContextAllocHuge(CurrentMemoryContext, (nemails + 1) * sizeof(RfAddressStatus));
	RfKeptVerdict *kept = MemoryContextAllocHuge(CurrentMemoryContext, (nemails + 1) * sizeof(RfKeptVerdict));

	for (int i = 0; i < nemails; i++)
	{
		char		one[RF_VERIFY_ADDRESS_MAX + 1] = "";
		RfText		email = {emails[i] ? emails[i] : "", emails[i] ? strlen(emails[i]) : 0};

		addresses[i] = rf_verify_address(email, one);
		folded[i] = pstrdup(one);
	}
	rf_verdict_find(folded, nemails, false, kept);
	(void) pushJsonbValue(&state, WJB_BEGIN_ARRAY, NULL);
	for (int i = 0; i < nemails; i++)
		push_row(&state, emails[i], addresses[i], &kept[i]);
	return JsonbValueToJsonb(pushJsonbValue(&state, WJB_END_ARRAY, NULL));
}

static void
push_row(JsonbParseState **state, const char *email, RfAddressStatus address,
		 const RfKeptVerdict *kept)
{
	const char *unasked = address == RF_ADDRESS_NON_ASCII ? "unknown" : "invalid";

	(void) pushJsonbValue(state, WJB_BEGIN_OBJECT, NULL);
	push_text(state, "email", email);
	push_text(state, "status", kept->found ? kept->status : address == RF_ADDRESS_OK ? "unknown" : unasked);
	push_text(state, "raw", kept->found ? kept->raw : NULL);
	push_text(state, "suggestion", kept->found ? kept->suggestion : NULL);
	push_text(state, "checked_at", kept->found ? timestamptz_to_str(kept->checked_at) : NULL);
	push_text(state, "source", kept->found ? kept->provider : "syntax");
	(void) pushJsonbValue(state, WJB_END_OBJECT, NULL);
}

static void
push_text(JsonbParseState **state, const char *name, const char *value)
{
	JsonbValue	item;

	item.type = jbvString;
	item.val.string.val = unconstify(char *, name);
	item.val.string.len = strlen(name);
	(void) pushJsonbValue(state, WJB_KEY, &item);
	item.type = value != NULL ? jbvString : jbvNull;
	if (value != NULL)
	{
		item.val.string.val = pstrdup(value);
		item.val.string.len = strlen(value);
	}
	(void) pushJsonbValue(state, WJB_VALUE, &item);
}

static void
read_row(HeapTuple tuple, TupleDesc desc, RfKeptVerdict *kept)
{
	bool		isnull;
	Datum		flags = SPI_getbinval(tuple, desc, 7, &isnull);

	kept->found = true;
	kept->flags = isnull ? (Datum) 0 : flags;
	kept->checked_at = DatumGetTimestampTz(SPI_getbinval(tuple, desc, 2, &isnull));
	kept->status = text_at(tuple, desc, 3);
	kept->provider = text_at(tuple, desc, 4);
	kept->raw = text_at(tuple, desc, 5);
	kept->suggestion = text_at(tuple, desc, 6);
}

static char *
text_at(HeapTuple tuple, TupleDesc desc, int column)
{
	bool		isnull;
	Datum		value = SPI_getbinval(tuple, desc, column, &isnull);

	return isnull ? NULL : TextDatumGetCString(value);
}

/* NULL: it has none. */
static char *
join_flags(const RfVerification *row)
{
	StringInfoData joined;

	if (row->nflags == 0)
		return NULL;
	initStringInfo(&joined);
	for (size_t i = 0; i < row->nflags; i++)
		appendStringInfo(&joined, "%s%s", i > 0 ? FLAG_SEPARATOR : "", row->flags[i]);
	return joined.data;
}

int64
rf_verdict_keeps_us(const char *status)
{
	int			age = strcmp(status, "valid") == 0 ? rf_verify_valid_age :
		strcmp(status, "invalid") == 0 ? rf_verify_invalid_age :
		strcmp(status, "risky") == 0 ? rf_verify_risky_age : 0;

	return (int64) age * USECS_PER_MINUTE;
}

static Datum
minutes(int count)
{
	Interval   *interval = palloc0(sizeof(Interval));

	interval->time = (int64) count * USECS_PER_MINUTE;
	return IntervalPGetDatum(interval);
}
