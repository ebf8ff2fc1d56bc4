/*-------------------------------------------------------------------------
 *
 * people_cache.c
 *	  What searches found, for a while.
 *
 * Read by an index scan of our own: a statement would cost as much as the rest
 * of a search, and would run as the table's owner under the caller's settings.
 *
 * IDENTIFICATION
 *	  src/outbox/people_cache.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <openssl/evp.h>

#include "access/genam.h"
#include "access/table.h"
#include "catalog/namespace.h"
#include "catalog/pg_type.h"
#include "lib/stringinfo.h"
#include "mb/pg_wchar.h"
#include "storage/lmgr.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/jsonb.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"

#include "compat.h"
#include "errors.h"
#include "outbox/people_cache.h"
#include "outbox/statement.h"
#include "provider/people_json.h"
#include "settings.h"

/* The columns of roleferry.search_cache. */
enum
{
	C_DIGEST = 1,
	C_ACCOUNT,
	C_PAGE,
	C_ROWS,
	C_MORE,
	C_FETCHED_AT,
	C_DOMAIN,
	C_PEOPLE,
	NCOLUMNS = C_PEOPLE
};

typedef struct Head
{
	uint8		digest[RF_DIGEST_BYTES];
	int			page;
	int			rows;
	bool		more;
	TimestampTz fetched_at;
	Size		account_len;	/* each with its zero */
	Size		domain_len;
	Size		people_len;
} Head;

static const EVP_MD *sha256(void);
static void add_text(StringInfo bytes, RfText value);
static void add_list(StringInfo bytes, const RfText *list, size_t count);
static Relation open_cache(void);
static bool read_page(Relation cache, HeapTuple tuple, int rows, TimestampTz since,
					  RfCachedPage *found);
static Datum digest_datum(const uint8 *digest);

/* By OpenSSL itself: PostgreSQL's own hashes need a transaction. */
void
rf_people_cache_digest(const RfPeopleQuery *query, uint8 *digest)
{
	static EVP_MD_CTX *ctx = NULL;
	StringInfoData bytes;

	initStringInfo(&bytes);
	add_text(&bytes, query->domain);
	for (char *c = bytes.data; c < bytes.data + bytes.len; c++)
		*c = (char) pg_ascii_tolower((unsigned char) *c);
	add_list(&bytes, query->titles, query->ntitles);
	add_list(&bytes, query->seniorities, query->nseniorities);
	add_list(&bytes, query->locations, query->nlocations);
	if (ctx == NULL)
		ctx = EVP_MD_CTX_new();
	if (ctx == NULL || EVP_DigestInit_ex(ctx, sha256(), NULL) != 1 ||
		EVP_DigestUpdate(ctx, bytes.data, bytes.len) != 1 ||
		EVP_DigestFinal_ex(ctx, digest, NULL) != 1)
		elog(ERROR, "could not hash a question");
	pfree(bytes.data);
}

/* Looked up once: a search by name each time costs more than a hash. */
static const EVP_MD *
sha256(void)
{
	static EVP_MD *found = NULL;

	if (found == NULL)
		found = EVP_MD_fetch(NULL, "SHA256", NULL);
	return found != NULL ? found : EVP_sha256();
}

static void
add_list(StringInfo bytes, const RfText *list, size_t count)
{
	appendBinaryStringInfo(bytes, (const char *) &count, sizeof(count));
	for (size_t i = 0; i < count; i++)
		add_text(bytes, list[i]);
}

/* Its end is marked: no text has a zero in it. */
static void
add_text(StringInfo bytes, RfText value)
{
	appendBinaryStringInfo(bytes, value.data, value.len);
	appendStringInfoChar(bytes, '\0');
}

bool
rf_people_cache_find(const uint8 *digest, const char *account, int page,
					 int rows, TimestampTz since, RfCachedPage *found)
{
	Relation	cache = open_cache();
	Snapshot	snapshot;
	ScanKeyData keys[3];
	SysScanDesc scan;
	HeapTuple	tuple;
	Oid			index;
	bool		good = false;

	if (cache == NULL)
		return false;
	index = rf_primary_key(cache);
	snapshot = RegisterSnapshot(GetLatestSnapshot());
	ScanKeyInit(&keys[0], C_DIGEST, BTEqualStrategyNumber, F_BYTEAEQ, digest_datum(digest));
	ScanKeyInit(&keys[1], C_ACCOUNT, BTEqualStrategyNumber, F_TEXTEQ, CStringGetTextDatum(account));
	ScanKeyInit(&keys[2], C_PAGE, BTEqualStrategyNumber, F_INT4EQ, Int32GetDatum(page));
	scan = systable_beginscan(cache, index, OidIsValid(index), snapshot, lengthof(keys), keys);
	while (!good && (tuple = systable_getnext(scan)) != NULL)
		good = read_page(cache, tuple, rows, since, found);
	systable_endscan(scan);
	UnregisterSnapshot(snapshot);
	table_close(cache, AccessShareLock);
	return good;
}

/* NULL: it is locked by somebody who changes it, and a cache is not waited for. */
static Relation
open_cache(void)
{
	Oid			schema = get_namespace_oid("roleferry", false);
	Oid			table = get_relname_relid("search_cache", schema);
	Relation	cache = NULL;

	if (OidIsValid(table))
	{
		if (!ConditionalLockRelationOid(table, AccessShareLock))
			return NULL;
		cache = try_table_open(table, NoLock);
	}
	if (cache == NULL || RelationGetNumberOfAttributes(cache) != NCOLUMNS)
		ereport(ERROR,
				(errcode(RF_ERRCODE_NOT_READY),
				 errmsg("the table roleferry.search_cache is not this version's"),
				 errhint("After an upgrade, restart the server and run ALTER EXTENSION roleferry UPDATE.")));
	return cache;
}

static bool
read_page(Relation cache, HeapTuple tuple, int rows, TimestampTz since,
		  RfCachedPage *found)
{
	Datum		values[NCOLUMNS];
	bool		nulls[NCOLUMNS];
	Jsonb	   *people;
	char	   *json;

	heap_deform_tuple(tuple, RelationGetDescr(cache), values, nulls);
	found->rows = DatumGetInt32(values[C_ROWS - 1]);
	found->more = DatumGetBool(values[C_MORE - 1]);
	found->fetched_at = DatumGetTimestampTz(values[C_FETCHED_AT - 1]);
	if (found->fetched_at < since || (found->rows < rows && found->more))
		return false;

	people = DatumGetJsonbP(values[C_PEOPLE - 1]);
	json = JsonbToCString(NULL, &people->root, VARSIZE(people));
	json = pg_server_to_any(json, strlen(json), PG_UTF8);
	return rf_people_get_json(json, strlen(json), &found->people, &found->npeople);
}

void
rf_people_cache_free(RfCachedPage *found)
{
	for (size_t i = 0; i < found->npeople; i++)
		rf_person_free(&found->people[i]);
	free(found->people);
	memset(found, 0, sizeof(*found));
}

static Datum
digest_datum(const uint8 *digest)
{
	bytea	   *value = palloc(VARHDRSZ + RF_DIGEST_BYTES);

	SET_VARSIZE(value, VARHDRSZ + RF_DIGEST_BYTES);
	memcpy(VARDATA(value), digest, RF_DIGEST_BYTES);
	return PointerGetDatum(value);
}

Jsonb *
rf_people_cache_jsonb(const char *json)
{
	return DatumGetJsonbP(DirectFunctionCall1(jsonb_in, CStringGetDatum(rf_text_to_server(json))));
}

void *
rf_kept_page_pack(const RfKeptPage *page, Size *len)
{
	Head		head;
	char	   *bytes;
	char	   *at;

	memset(&head, 0, sizeof(head));
	memcpy(head.digest, page->digest, RF_DIGEST_BYTES);
	head.page = page->page;
	head.rows = page->rows;
	head.more = page->more;
	head.fetched_at = page->fetched_at;
	head.account_len = strlen(page->account) + 1;
	head.domain_len = strlen(page->domain) + 1;
	head.people_len = VARSIZE(page->people);

	*len = MAXALIGN(sizeof(head)) + MAXALIGN(head.people_len) + head.account_len + head.domain_len;
	at = bytes = palloc0(*len);
	memcpy(at, &head, sizeof(head));
	at += MAXALIGN(sizeof(head));
	memcpy(at, page->people, head.people_len);
	at += MAXALIGN(head.people_len);
	memcpy(at, page->account, head.account_len);
	memcpy(at + head.account_len, page->domain, head.domain_len);
	return bytes;
}

void
rf_kept_page_unpack(const void *bytes, RfKeptPage *page)
{
	const char *at = (const char *) bytes + MAXALIGN(sizeof(Head));
	Head		head;

	memcpy(&head, bytes, sizeof(head));
	memset(page, 0, sizeof(*page));
	memcpy(page->digest, head.digest, RF_DIGEST_BYTES);
	page->page = head.page;
	page->rows = head.rows;
	page->more = head.more;
	page->fetched_at = head.fetched_at;
	page->people = (Jsonb *) at;
	at += MAXALIGN(head.people_len);
	page->account = at;
	page->domain = at + head.account_len;
}

void
rf_people_cache_write(List *pages)
{
	static RfStatement insert = {
		"INSERT INTO roleferry.search_cache AS c (digest, account, page, rows, more, fetched_at, domain, people)"
		" SELECT n.* FROM unnest($1, $2, $3, $4, $5, $6, $7, $8) AS n"
		" ON CONFLICT (digest, account, page) DO UPDATE SET rows = excluded.rows, more = excluded.more,"
		" fetched_at = excluded.fetched_at, domain = excluded.domain, people = excluded.people"
		" WHERE excluded.rows >= c.rows OR NOT excluded.more"
		" OR c.fetched_at < excluded.fetched_at - $9",
		9, {BYTEAARRAYOID, TEXTARRAYOID, INT4ARRAYOID, INT4ARRAYOID, BOOLARRAYOID,
		TIMESTAMPTZARRAYOID, TEXTARRAYOID, JSONBARRAYOID, INTERVALOID}, NULL
	};
	static const Oid types[] = {BYTEAOID, TEXTOID, INT4OID, INT4OID, BOOLOID,
	TIMESTAMPTZOID, TEXTOID, JSONBOID};
	RfColumn	columns[lengthof(types)];
	Datum		values[lengthof(types) + 1];
	Interval	fresh = {0};
	ListCell   *lc;

	for (size_t i = 0; i < lengthof(types); i++)
		rf_column_init(&columns[i], types[i]);
	foreach(lc, pages)
	{
		RfKeptPage *page = lfirst(lc);
		Jsonb	   *people = page->people ? page->people : rf_people_cache_jsonb(page->json);

		rf_column_add(&columns[0], digest_datum(page->digest), false);
		rf_column_add(&columns[1], CStringGetTextDatum(page->account), false);
		rf_column_add(&columns[2], Int32GetDatum(page->page), false);
		rf_column_add(&columns[3], Int32GetDatum(page->rows), false);
		rf_column_add(&columns[4], BoolGetDatum(page->more), false);
		rf_column_add(&columns[5], TimestampTzGetDatum(page->fetched_at), false);
		rf_column_add(&columns[6], CStringGetTextDatum(page->domain), false);
		rf_column_add(&columns[7], JsonbPGetDatum(people), false);
	}
	for (size_t i = 0; i < lengthof(types); i++)
		values[i] = rf_column_array(&columns[i]);
	fresh.time = (int64) rf_search_fresh * USECS_PER_MINUTE;
	values[lengthof(types)] = IntervalPGetDatum(&fresh);
	(void) rf_statement_run(&insert, values, NULL);
}
