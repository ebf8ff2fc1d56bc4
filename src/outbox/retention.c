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

/* That take turns. */
#define TABLES			3

typedef struct Turns
{
	const char *prefix;			/* of the tables' names */
	const int  *minutes;		/* how long what is in them is kept, at least */
	RfStatement current;
	RfStatement due;
	RfStatement advance;
} Turns;

#define TURNS(prefix, rotation, minutes) { \
		prefix, minutes, \
		{"SELECT r.current FROM roleferry." rotation " AS r", 0, {0}, NULL}, \
		{"SELECT (r.current + 1) % " CppAsString2(TABLES) " FROM roleferry." rotation " AS r" \
		" WHERE r.rotated_at + $1 / 2 < pg_catalog.now()", 1, {INTERVALOID}, NULL}, \
		{"UPDATE roleferry." rotation " AS r SET current = $1, rotated_at = pg_catalog.now()", 1, {INT4OID}, NULL} \
	}

static Turns turns[] = {
	[RF_TURNS_ATTEMPTS] = TURNS("attempt", "rotation", &rf_attempt_retention),
	[RF_TURNS_RESULTS] = TURNS("result", "result_rotation", &rf_result_ttl)
};

static void keep_attempts(const char *name);
static Datum minutes_interval(int minutes);
static bool purge_webhooks(void);
static uint64 purge(RfStatement *statement, int retention_minutes);

int
rf_retention_table(RfTurns which)
{
	Turns	   *t = &turns[which];
	bool		isnull;
	int			table;

	if (rf_statement_run(&t->current, NULL, NULL) == 0)
		return 0;
	table = DatumGetInt16(SPI_getbinval(SPI_tuptable->vals[0],
										SPI_tuptable->tupdesc, 1, &isnull));
	return table >= 0 && table < TABLES ? table : 0;
}

/* Sessions read them, and may hold their locks for long. */
void
rf_retention_rotate(RfTurns which)
{
	Turns	   *t = &turns[which];
	Datum		retention = minutes_interval(*t->minutes);
	bool		isnull;
	char	   *name;
	Datum		next;

	if (rf_statement_run(&t->due, &retention, NULL) == 0)
		return;
	next = SPI_getbinval(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 1, &isnull);
	name = psprintf("%s_%d", t->prefix, DatumGetInt32(next));
	if (!ConditionalLockRelationOid(get_relname_relid(name, get_namespace_oid("roleferry", false)),
									AccessExclusiveLock))
		return;
	if (which == RF_TURNS_ATTEMPTS)
		keep_attempts(name);
	if (SPI_execute(psprintf("TRUNCATE roleferry.%s", name), false, 0) != SPI_OK_UTILITY)
		elog(ERROR, "could not truncate %s", name);
	(void) rf_statement_run(&t->advance, &next, NULL);
}

/* A dead letter has its whole history, and so has what may become one. */
static void
keep_attempts(const char *name)
{
	char	   *keep = psprintf("INSERT INTO roleferry.attempt_kept SELECT a.* FROM roleferry.%s AS a"
								" WHERE EXISTS (SELECT FROM roleferry.dead_letter AS d WHERE d.job_id = a.job_id)"
								" OR EXISTS (SELECT FROM roleferry.outbox AS o WHERE o.id = a.job_id)", name);

	if (SPI_execute(keep, false, 0) != SPI_OK_INSERT)
		elog(ERROR, "could not keep attempts of %s", name);
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
	static RfStatement attempts = {
		"DELETE FROM roleferry.attempt_kept AS k WHERE k.ctid = ANY (ARRAY("
		"SELECT c.ctid FROM roleferry.attempt_kept AS c WHERE c.started_at < pg_catalog.now() - $1"
		" AND NOT EXISTS (SELECT FROM roleferry.dead_letter AS d WHERE d.job_id = c.job_id)"
		" AND NOT EXISTS (SELECT FROM roleferry.outbox AS o WHERE o.id = c.job_id)"
		" LIMIT " CppAsString2(PURGE_BATCH) "))",
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
	more |= purge(&attempts, rf_attempt_retention) == PURGE_BATCH;
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
