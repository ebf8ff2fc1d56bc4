/*-------------------------------------------------------------------------
 *
 * retention.c
 *	  Letting old records go.
 *
 * IDENTIFICATION
 *	  src/outbox/retention.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/namespace.h"
#include "catalog/pg_type.h"
#include "storage/lmgr.h"
#include "utils/lsyscache.h"
#include "utils/timestamp.h"

#include "outbox/batch.h"
#include "outbox/idempotency.h"
#include "outbox/person_cache.h"
#include "outbox/retention.h"
#include "outbox/statement.h"
#include "outbox/verdict.h"
#include "settings.h"

#define PURGE_BATCH		1000
#define ATTEMPT_TABLES	3
#define RESULT_TABLES	3

static Datum minutes_interval(int minutes);
static bool purge_webhooks(void);
static uint64 purge(RfStatement *statement, int retention_minutes);

int
rf_retention_attempt_table(void)
{
	static RfStatement find = {
		"SELECT r.current FROM roleferry.rotation AS r", 0, {0}, NULL
	};
	bool		isnull;
	int			table;

	if (rf_statement_run(&find, NULL, NULL) == 0)
		return 0;
	table = DatumGetInt16(SPI_getbinval(SPI_tuptable->vals[0],
										SPI_tuptable->tupdesc, 1, &isnull));
	return table >= 0 && table < ATTEMPT_TABLES ? table : 0;
}

void
rf_retention_rotate_attempts(void)
{
	static const char *const truncates[ATTEMPT_TABLES] = {
		"TRUNCATE roleferry.attempt_0",
		"TRUNCATE roleferry.attempt_1",
		"TRUNCATE roleferry.attempt_2"
	};
	static RfStatement rotate = {
		"UPDATE roleferry.rotation AS r"
		" SET current = (r.current + 1) % " CppAsString2(ATTEMPT_TABLES) ", rotated_at = pg_catalog.now()"
		" WHERE r.rotated_at + $1 / 2 < pg_catalog.now() RETURNING r.current",
		1, {INTERVALOID}, NULL
	};
	Datum		retention = minutes_interval(rf_attempt_retention);
	bool		isnull;
	int			next;

	if (rf_statement_run(&rotate, &retention, NULL) == 0)
		return;
	next = DatumGetInt16(SPI_getbinval(SPI_tuptable->vals[0],
									   SPI_tuptable->tupdesc, 1, &isnull));
	if (SPI_execute(truncates[next], false, 0) != SPI_OK_UTILITY)
		elog(ERROR, "could not truncate attempt table %d", next);
}

int
rf_retention_result_table(void)
{
	static RfStatement find = {
		"SELECT r.current FROM roleferry.result_rotation AS r", 0, {0}, NULL
	};
	bool		isnull;
	int			table;

	if (rf_statement_run(&find, NULL, NULL) == 0)
		return 0;
	table = DatumGetInt16(SPI_getbinval(SPI_tuptable->vals[0],
										SPI_tuptable->tupdesc, 1, &isnull));
	return table >= 0 && table < RESULT_TABLES ? table : 0;
}

/* Results are read by sessions, which may hold their locks for long. */
void
rf_retention_rotate_results(void)
{
	static const char *const tables[RESULT_TABLES] = {"result_0", "result_1", "result_2"};
	static RfStatement find = {
		"SELECT (r.current + 1) % " CppAsString2(RESULT_TABLES) " FROM roleferry.result_rotation AS r"
		" WHERE r.rotated_at + $1 / 2 < pg_catalog.now()",
		1, {INTERVALOID}, NULL
	};
	static RfStatement rotate = {
		"UPDATE roleferry.result_rotation AS r SET current = $1, rotated_at = pg_catalog.now()",
		1, {INT4OID}, NULL
	};
	Datum		retention = minutes_interval(rf_result_ttl);
	bool		isnull;
	int			next;
	Datum		value;

	if (rf_statement_run(&find, &retention, NULL) == 0)
		return;
	next = DatumGetInt32(SPI_getbinval(SPI_tuptable->vals[0],
									   SPI_tuptable->tupdesc, 1, &isnull));
	if (!ConditionalLockRelationOid(get_relname_relid(tables[next], get_namespace_oid("roleferry", false)),
									AccessExclusiveLock))
		return;
	if (SPI_execute(psprintf("TRUNCATE roleferry.%s", tables[next]), false, 0) != SPI_OK_UTILITY)
		elog(ERROR, "could not truncate result table %d", next);
	value = Int32GetDatum(next);
	(void) rf_statement_run(&rotate, &value, NULL);
}

bool
rf_retention_purge(void)
{
	static RfStatement messages = {
		"DELETE FROM roleferry.message AS m WHERE m.job_id = ANY (ARRAY("
		"SELECT c.job_id FROM roleferry.message AS c ORDER BY c.job_id LIMIT " CppAsString2(PURGE_BATCH) "))"
		" AND m.sent_at < pg_catalog.now() - $1",
		1, {INTERVALOID}, NULL
	};
	static RfStatement lives = {
		"DELETE FROM roleferry.message_life AS l WHERE l.job_id = ANY (ARRAY("
		"SELECT c.job_id FROM roleferry.message_life AS c ORDER BY c.job_id LIMIT " CppAsString2(PURGE_BATCH) "))"
		" AND coalesce(l.last_event_at, '-infinity') < pg_catalog.now() - $1"
		" AND NOT EXISTS (SELECT FROM roleferry.message AS m WHERE m.job_id = l.job_id)",
		1, {INTERVALOID}, NULL
	};
	static RfStatement bounces = {
		"DELETE FROM roleferry.soft_bounce AS b WHERE b.last_at < pg_catalog.now() - $1",
		1, {INTERVALOID}, NULL
	};
	static RfStatement letters = {
		"DELETE FROM roleferry.dead_letter AS d WHERE d.job_id = ANY (ARRAY("
		"SELECT c.job_id FROM roleferry.dead_letter AS c WHERE c.finished_at < pg_catalog.now() - $1"
		" AND c.state <> 'unknown' LIMIT " CppAsString2(PURGE_BATCH) "))",
		1, {INTERVALOID}, NULL
	};
	static RfStatement unknowns = {
		"DELETE FROM roleferry.dead_letter AS d WHERE d.job_id = ANY (ARRAY("
		"SELECT c.job_id FROM roleferry.dead_letter AS c WHERE c.finished_at < pg_catalog.now() - $1"
		" AND c.state = 'unknown' LIMIT " CppAsString2(PURGE_BATCH) "))",
		1, {INTERVALOID}, NULL
	};
	static RfStatement searches = {
		"DELETE FROM roleferry.search_cache AS s WHERE (s.digest, s.account, s.page) IN ("
		"SELECT c.digest, c.account, c.page FROM roleferry.search_cache AS c"
		" WHERE c.fetched_at < pg_catalog.now() - $1 LIMIT " CppAsString2(PURGE_BATCH) ")",
		1, {INTERVALOID}, NULL
	};
	static RfStatement actions = {
		"DELETE FROM roleferry.job_action AS a WHERE a.ctid = ANY (ARRAY("
		"SELECT c.ctid FROM roleferry.job_action AS c WHERE c.at < pg_catalog.now() - $1"
		" LIMIT " CppAsString2(PURGE_BATCH) "))",
		1, {INTERVALOID}, NULL
	};
	bool		more = false;

	more |= rf_verdict_purge();
	more |= rf_batch_purge();
	more |= rf_person_cache_purge();
	more |= purge_webhooks();
	more |= purge(&searches, Max(rf_search_stale, rf_search_fresh)) == PURGE_BATCH;
	more |= purge(&messages, rf_message_retention) == PURGE_BATCH;
	more |= purge(&lives, rf_message_retention) == PURGE_BATCH;
	(void) purge(&bounces, rf_message_retention);
	more |= purge(&letters, rf_dead_letter_retention) == PURGE_BATCH;
	more |= purge(&unknowns, rf_message_retention) == PURGE_BATCH;
	more |= purge(&actions, rf_dead_letter_retention) == PURGE_BATCH;
	more |= rf_idempotency_purge();
	return more;
}

/* The oldest have the smallest ids. */
static bool
purge_webhooks(void)
{
	static RfStatement events = {
		"DELETE FROM roleferry.webhook_event AS e WHERE e.id = ANY (ARRAY("
		"SELECT c.id FROM roleferry.webhook_event AS c ORDER BY c.id LIMIT " CppAsString2(PURGE_BATCH) "))"
		" AND e.received_at < pg_catalog.now() - $1",
		1, {INTERVALOID}, NULL
	};
	static RfStatement bodies = {
		"UPDATE roleferry.webhook_event AS e SET raw = NULL WHERE e.id = ANY (ARRAY("
		"SELECT c.id FROM roleferry.webhook_event AS c WHERE c.raw IS NOT NULL ORDER BY c.id"
		" LIMIT " CppAsString2(PURGE_BATCH) ")) AND e.received_at < pg_catalog.now() - $1",
		1, {INTERVALOID}, NULL
	};
	bool		more = purge(&events, rf_webhook_retention) == PURGE_BATCH;

	more |= purge(&bodies, rf_webhook_body_retention) == PURGE_BATCH;
	return more;
}

static uint64
purge(RfStatement *statement, int retention_minutes)
{
	Datum		retention = minutes_interval(retention_minutes);

	return rf_statement_run(statement, &retention, NULL);
}

static Datum
minutes_interval(int minutes)
{
	Interval   *interval = palloc0(sizeof(Interval));

	interval->time = (int64) minutes * USECS_PER_MINUTE;
	return IntervalPGetDatum(interval);
}
