/*-------------------------------------------------------------------------
 *
 * idempotency.c
 *	  One job for each (role, idempotency key).
 *
 * The unique index decides, so nothing races.  A key knows the digest of its
 * job's payload: whoever uses it again for something else is told, instead of
 * being given another job's id.
 *
 * IDENTIFICATION
 *	  src/outbox/idempotency.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "common/cryptohash.h"
#include "common/sha2.h"
#include "utils/builtins.h"
#include "utils/numeric.h"
#include "utils/timestamp.h"

#include "errors.h"
#include "outbox/idempotency.h"
#include "outbox/statement.h"
#include "settings.h"

#define DIGEST_BYTES	PG_SHA256_DIGEST_LENGTH
#define PURGE_BATCH		1000

static bool insert_key(const RfJobDraft *draft, int64 id, Datum digest);
static int64 holder_of(const RfJobDraft *draft, bytea **digest);
static void tell_clash(int64 holder, const bytea *theirs, const bytea *ours,
					   RfJobProblem *problem);
static char *hex(const bytea *digest);
static bytea *digest_of(const RfJobDraft *draft);
static void add_scalar(pg_cryptohash_ctx *hash, const JsonbValue *value);
static void add(pg_cryptohash_ctx *hash, const void *bytes, size_t len);

RfKeyEnd
rf_idempotency_take(const RfJobDraft *draft, int64 *id, RfJobProblem *problem)
{
	bytea	   *ours = digest_of(draft);
	bytea	   *theirs;

	if (insert_key(draft, *id, PointerGetDatum(ours)))
		return RF_KEY_TAKEN;
	*id = holder_of(draft, &theirs);

	/* Keys of an older version have no digest. */
	if (draft->on_conflict != RF_CONFLICT_ERROR || theirs == NULL ||
		(VARSIZE_ANY_EXHDR(theirs) == DIGEST_BYTES &&
		 memcmp(VARDATA_ANY(theirs), VARDATA_ANY(ours), DIGEST_BYTES) == 0))
		return RF_KEY_KNOWN;
	tell_clash(*id, theirs, ours, problem);
	return RF_KEY_CLASHES;
}

void
rf_idempotency_pass_on(const RfJobDraft *draft, int64 job_id)
{
	static RfStatement pass_on = {
		"UPDATE roleferry.idempotency AS i"
		" SET job_id = $3, digest = $4, kept_from = pg_catalog.clock_timestamp(), renewed = false"
		" WHERE i.role OPERATOR(pg_catalog.=) $1 AND i.key OPERATOR(pg_catalog.=) $2",
		4, {TEXTOID, TEXTOID, INT8OID, BYTEAOID}, NULL
	};
	Datum		values[4];

	values[0] = CStringGetTextDatum(draft->role);
	values[1] = CStringGetTextDatum(draft->idempotency_key);
	values[2] = Int64GetDatum(job_id);
	values[3] = PointerGetDatum(digest_of(draft));
	(void) rf_statement_run(&pass_on, values, NULL);
}

/*
 * Counted from the job's end where there is a record of it.  Where there is
 * none, because its result has gone, the key stays for once the time more.
 */
bool
rf_idempotency_purge(void)
{
	static RfStatement purge = {
		"WITH due AS (SELECT i.role, i.key, i.renewed,"
		" EXISTS (SELECT FROM roleferry.outbox AS o WHERE o.id = i.job_id) AS waits,"
		" coalesce((SELECT m.sent_at FROM roleferry.message AS m WHERE m.job_id = i.job_id),"
		" (SELECT d.finished_at FROM roleferry.dead_letter AS d WHERE d.job_id = i.job_id)) AS ended"
		" FROM roleferry.idempotency AS i WHERE i.kept_from < pg_catalog.now() - $1"
		" ORDER BY i.kept_from LIMIT " CppAsString2(PURGE_BATCH) "),"
		" judged AS (SELECT d.role, d.key, d.waits OR d.ended IS NULL AS renewed, CASE WHEN d.waits THEN pg_catalog.now()"
		" WHEN d.ended IS NOT NULL THEN d.ended WHEN NOT d.renewed THEN pg_catalog.now()"
		" ELSE '-infinity' END AS kept_from FROM due AS d),"
		" kept AS (UPDATE roleferry.idempotency AS i SET kept_from = j.kept_from, renewed = j.renewed FROM judged AS j"
		" WHERE i.role = j.role AND i.key = j.key AND j.kept_from >= pg_catalog.now() - $1),"
		" gone AS (DELETE FROM roleferry.idempotency AS i USING judged AS j"
		" WHERE i.role = j.role AND i.key = j.key AND j.kept_from < pg_catalog.now() - $1)"
		" SELECT FROM judged",
		1, {INTERVALOID}, NULL
	};
	Interval	retention;
	Datum		value = IntervalPGetDatum(&retention);

	memset(&retention, 0, sizeof(retention));
	retention.time = (int64) rf_idempotency_retention * USECS_PER_MINUTE;
	return rf_statement_run(&purge, &value, NULL) == PURGE_BATCH;
}

static bool
insert_key(const RfJobDraft *draft, int64 id, Datum digest)
{
	static RfStatement insert = {
		"INSERT INTO roleferry.idempotency (role, key, job_id, digest) VALUES ($1, $2, $3, $4)"
		" ON CONFLICT (role, key) DO NOTHING",
		4, {TEXTOID, TEXTOID, INT8OID, BYTEAOID}, NULL
	};
	Datum		values[4];

	values[0] = CStringGetTextDatum(draft->role);
	values[1] = CStringGetTextDatum(draft->idempotency_key);
	values[2] = Int64GetDatum(id);
	values[3] = digest;
	return rf_statement_run(&insert, values, NULL) > 0;
}

/* The job that has the key.  Raises where it cannot be seen yet. */
static int64
holder_of(const RfJobDraft *draft, bytea **digest)
{
#define FIND_HOLDER \
		"SELECT i.job_id, i.digest FROM roleferry.idempotency AS i" \
		" WHERE i.role OPERATOR(pg_catalog.=) $1 AND i.key OPERATOR(pg_catalog.=) $2"
	static RfStatement find = {FIND_HOLDER, 2, {TEXTOID, TEXTOID}, NULL};
	static RfStatement lock = {FIND_HOLDER " FOR UPDATE", 2, {TEXTOID, TEXTOID}, NULL};
	Datum		values[2];
	Datum		found;
	bool		isnull;

	values[0] = CStringGetTextDatum(draft->role);
	values[1] = CStringGetTextDatum(draft->idempotency_key);
	if (rf_statement_run(draft->on_conflict == RF_CONFLICT_REPLACE ? &lock : &find, values, NULL) == 0)
		ereport(ERROR,
				(errcode(ERRCODE_T_R_SERIALIZATION_FAILURE),
				 errmsg("another transaction has just used this idempotency_key"),
				 errhint("Try the transaction again.")));
	found = SPI_getbinval(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 2, &isnull);
	*digest = isnull ? NULL : DatumGetByteaPP(found);
	return DatumGetInt64(SPI_getbinval(SPI_tuptable->vals[0],
									   SPI_tuptable->tupdesc, 1, &isnull));
}

/* Palloc'd where the caller's result goes; neither key nor payload is shown. */
static void
tell_clash(int64 holder, const bytea *theirs, const bytea *ours,
		   RfJobProblem *problem)
{
	StringInfoData detail;

	initStringInfo(&detail);
	appendStringInfo(&detail, "Job " INT64_FORMAT " has the digest %s, this one %s.",
					 holder, hex(theirs), hex(ours));
	problem->sqlerrcode = RF_ERRCODE_BAD_ARGUMENT;
	problem->message = SPI_palloc(128);
	strlcpy(problem->message, "\"idempotency_key\" was used before, with another payload", 128);
	problem->detail = SPI_palloc(detail.len + 1);
	memcpy(problem->detail, detail.data, detail.len + 1);
	problem->hint = SPI_palloc(128);
	strlcpy(problem->hint, "Use a key for one payload; on_conflict => 'replace' changes a job that waits.", 128);
}

static char *
hex(const bytea *digest)
{
	size_t		len = VARSIZE_ANY_EXHDR(digest);
	char	   *digits = palloc(2 * len + 1);

	len = (size_t) hex_encode(VARDATA_ANY(digest), len, digits);
	digits[len] = '\0';
	return digits;
}

/*
 * jsonb has its members in one order and each once; numbers are written one
 * way here, because 1.0 and 1.00 are equal and do not look it.
 */
static bytea *
digest_of(const RfJobDraft *draft)
{
	pg_cryptohash_ctx *hash = pg_cryptohash_create(PG_SHA256);
	JsonbIterator *iterator = JsonbIteratorInit(&draft->args->root);
	JsonbIteratorToken token;
	JsonbValue	value;
	bytea	   *digest = palloc(VARHDRSZ + DIGEST_BYTES);

	SET_VARSIZE(digest, VARHDRSZ + DIGEST_BYTES);
	if (hash == NULL || pg_cryptohash_init(hash) < 0)
		elog(ERROR, "could not begin a digest");
	add(hash, draft->task, strlen(draft->task) + 1);
	while ((token = JsonbIteratorNext(&iterator, &value, false)) != WJB_DONE)
	{
		char		mark = (char) token;

		add(hash, &mark, sizeof(mark));
		if (token == WJB_KEY || token == WJB_VALUE || token == WJB_ELEM)
			add_scalar(hash, &value);
	}
	if (pg_cryptohash_final(hash, (uint8 *) VARDATA(digest), DIGEST_BYTES) < 0)
		elog(ERROR, "could not end a digest");
	pg_cryptohash_free(hash);
	return digest;
}

static void
add_scalar(pg_cryptohash_ctx *hash, const JsonbValue *value)
{
	char		mark = (char) value->type;
	uint64		len;
	char	   *number;

	add(hash, &mark, sizeof(mark));
	switch (value->type)
	{
		case jbvString:
			len = (uint64) value->val.string.len;
			add(hash, &len, sizeof(len));
			add(hash, value->val.string.val, (size_t) value->val.string.len);
			break;
		case jbvNumeric:
			number = numeric_normalize(value->val.numeric);
			add(hash, number, strlen(number) + 1);
			break;
		case jbvBool:
			add(hash, &value->val.boolean, sizeof(value->val.boolean));
			break;
		default:
			break;
	}
}

static void
add(pg_cryptohash_ctx *hash, const void *bytes, size_t len)
{
	if (pg_cryptohash_update(hash, bytes, len) < 0)
		elog(ERROR, "could not add to a digest");
}
