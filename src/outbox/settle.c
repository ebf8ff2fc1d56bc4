/*-------------------------------------------------------------------------
 *
 * settle.c
 *	  Writing what became of jobs.
 *
 * One statement for each kind of ending, fed with arrays.  The deletion from
 * the outbox and the row that replaces it are one statement, so a job is
 * always in exactly one place.  What was sent does not read its args again:
 * the few texts that are kept of them come with the settlement.
 *
 * IDENTIFICATION
 *	  src/outbox/settle.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"

#include "outbox/found.h"
#include "outbox/on_done.h"
#include "outbox/sent.h"
#include "outbox/settle.h"
#include "outbox/statement.h"
#include "shmem/fault.h"

static void write_sent(int64 incarnation, List *settlements);
static void write_done(int64 incarnation, List *settlements, int result_table);
static void write_dead(int64 incarnation, List *settlements);
static void write_waiting(int64 incarnation, List *settlements);
static void write_attempts(List *settlements, int attempt_table);
static void add_status(RfColumn *column, const RfSettlement *s);
static void add_excerpt(RfColumn *column, const RfSettlement *s);
static void add_text(RfColumn *column, const char *value);
static const char *or_null(const char *value);

void
rf_settle_write(int64 incarnation, List *settlements, int attempt_table,
				int result_table)
{
	/* Before the jobs go; attempts, too: never fewer rows than a job tells. */
	rf_on_done_settled(incarnation, settlements);
	write_attempts(settlements, attempt_table);
	write_sent(incarnation, rf_sent_write(incarnation, settlements));
	write_done(incarnation, settlements, result_table);
	RF_FAULT("in_record");
	write_dead(incarnation, settlements);
	write_waiting(incarnation, settlements);
}

static void
write_sent(int64 incarnation, List *settlements)
{
	static RfStatement statement = {
		"WITH ended AS (SELECT * FROM ROWS FROM (unnest($1), unnest($2), unnest($3), unnest($4), unnest($5), unnest($6),"
		" unnest($7), unnest($8), unnest($9), unnest($10))"
		" AS e (job_id, http_status, account, provider, message_id, raw_message_id, from_addr, to_addr, subject, note)),"
		" gone AS (DELETE FROM roleferry.outbox AS o USING ended AS e"
		" WHERE o.id = e.job_id AND o.worker = $11"
		" RETURNING e.*, o.created_at, o.attempts, o.role, o.queue, o.tenant_key)"
		" INSERT INTO roleferry.message (job_id, created_at, sent_at, http_status, attempts, account,"
		" provider, message_id, raw_message_id, role, queue, tenant_key, from_addr, to_addr, subject, note)"
		" SELECT g.job_id, g.created_at, pg_catalog.clock_timestamp(), g.http_status, g.attempts, g.account,"
		" g.provider, g.message_id, g.raw_message_id, g.role, g.queue, g.tenant_key,"
		" g.from_addr, g.to_addr, g.subject, g.note FROM gone AS g",
		11, {INT8ARRAYOID, INT4ARRAYOID, TEXTARRAYOID, TEXTARRAYOID, TEXTARRAYOID, TEXTARRAYOID,
		TEXTARRAYOID, TEXTARRAYOID, TEXTARRAYOID, TEXTARRAYOID, INT8OID}, NULL
	};
	RfColumn	columns[10];
	Datum		values[11];
	ListCell   *lc;
	int			count = 0;

	rf_column_init(&columns[0], INT8OID);
	rf_column_init(&columns[1], INT4OID);
	for (int i = 2; i < 10; i++)
		rf_column_init(&columns[i], TEXTOID);

	foreach(lc, settlements)
	{
		const RfSettlement *s = lfirst(lc);

		if (s->kind != RF_SETTLE_SENT)
			continue;
		rf_column_add(&columns[0], Int64GetDatum(s->job_id), false);
		add_status(&columns[1], s);
		rf_column_add_text(&columns[2], s->account);
		rf_column_add_text(&columns[3], s->provider);
		rf_column_add_text(&columns[4], or_null(s->outcome.message_id));
		rf_column_add_text(&columns[5], or_null(s->outcome.raw_message_id));
		add_text(&columns[6], s->from_addr);
		add_text(&columns[7], s->to_addr);
		add_text(&columns[8], s->subject);
		add_text(&columns[9], s->note);
		count++;
	}
	if (count == 0)
		return;
	for (int i = 0; i < 10; i++)
		values[i] = rf_column_array(&columns[i]);
	values[10] = Int64GetDatum(incarnation);
	(void) rf_statement_run(&statement, values, NULL);
}

static void
write_done(int64 incarnation, List *settlements, int result_table)
{
#define RESULT_INSERT(table) { \
		"WITH ended AS (SELECT * FROM ROWS FROM (unnest($1), unnest($2), unnest($3)) AS e (job_id, account, result))," \
		" gone AS (DELETE FROM roleferry.outbox AS o USING ended AS e" \
		" WHERE o.id = e.job_id AND o.worker = $4" \
		" RETURNING e.*, o.created_at, o.attempts, o.task, o.role, o.queue, o.tenant_key)" \
		" INSERT INTO roleferry." table \
		" (job_id, created_at, finished_at, attempts, task, account, role, queue, tenant_key, result)" \
		" SELECT g.job_id, g.created_at, pg_catalog.clock_timestamp(), g.attempts, g.task, g.account," \
		" g.role, g.queue, g.tenant_key, g.result FROM gone AS g", \
		4, {INT8ARRAYOID, TEXTARRAYOID, JSONBARRAYOID, INT8OID}, NULL}
	static RfStatement statements[3] = {
		RESULT_INSERT("result_0"),
		RESULT_INSERT("result_1"),
		RESULT_INSERT("result_2")
	};
	static const Oid types[3] = {INT8OID, TEXTOID, JSONBOID};
	RfColumn	columns[3];
	Datum		values[4];
	ListCell   *lc;
	int			count = 0;

	for (int i = 0; i < 3; i++)
		rf_column_init(&columns[i], types[i]);
	foreach(lc, settlements)
	{
		const RfSettlement *s = lfirst(lc);

		if (s->kind != RF_SETTLE_DONE)
			continue;
		rf_column_add(&columns[0], Int64GetDatum(s->job_id), false);
		rf_column_add_text(&columns[1], s->account);
		rf_column_add(&columns[2], s->result ? JsonbPGetDatum(s->result) : (Datum) 0, s->result == NULL);
		count++;
	}
	if (count == 0)
		return;
	for (int i = 0; i < 3; i++)
		values[i] = rf_column_array(&columns[i]);
	values[3] = Int64GetDatum(incarnation);
	(void) rf_statement_run(&statements[result_table], values, NULL);
}

static void
write_dead(int64 incarnation, List *settlements)
{
	static RfStatement statement = {
		"WITH ended AS (SELECT * FROM ROWS FROM (unnest($1), unnest($2), unnest($3), unnest($4), unnest($5), unnest($6), unnest($7), unnest($8))"
		" AS e (job_id, http_status, charged, state, outcome, reason, account, excerpt)),"
		" gone AS (DELETE FROM roleferry.outbox AS o USING ended AS e"
		" WHERE o.id = e.job_id AND o.worker = $9 RETURNING e.http_status, e.charged, e.state, e.outcome, e.reason,"
		" e.account, e.excerpt, o.*)"
		" INSERT INTO roleferry.dead_letter (job_id, created_at, finished_at, http_status, attempts, failures,"
		" max_attempts, priority, state, outcome, reason, account, task, role, queue, tenant_key, order_key,"
		" idempotency_key, on_done, delivery, accounts, excerpt, args, mode)"
		" SELECT g.id, g.created_at, pg_catalog.clock_timestamp(), g.http_status, g.attempts, g.failures + g.charged,"
		" g.max_attempts, g.priority, g.state, g.outcome, g.reason, g.account, g.task, g.role, g.queue, g.tenant_key,"
		" g.order_key, g.idempotency_key, g.on_done, g.delivery, g.accounts, g.excerpt, g.args, g.mode FROM gone AS g",
		9, {INT8ARRAYOID, INT4ARRAYOID, INT4ARRAYOID, TEXTARRAYOID, TEXTARRAYOID, TEXTARRAYOID, TEXTARRAYOID, BYTEAARRAYOID, INT8OID}, NULL
	};
	RfColumn	columns[8];
	Datum		values[9];
	ListCell   *lc;
	int			count = 0;

	rf_column_init(&columns[0], INT8OID);
	rf_column_init(&columns[1], INT4OID);
	rf_column_init(&columns[2], INT4OID);
	for (int i = 3; i < 7; i++)
		rf_column_init(&columns[i], TEXTOID);
	rf_column_init(&columns[7], BYTEAOID);

	foreach(lc, settlements)
	{
		const RfSettlement *s = lfirst(lc);

		if (s->kind != RF_SETTLE_DEAD)
			continue;
		rf_column_add(&columns[0], Int64GetDatum(s->job_id), false);
		add_status(&columns[1], s);
		rf_column_add(&columns[2], Int32GetDatum(s->charged), false);
		rf_column_add_text(&columns[3], s->state);
		rf_column_add_text(&columns[4], s->account ? rf_outcome_class_text(s->outcome.class) : NULL);
		rf_column_add_text(&columns[5], s->outcome.reason);
		rf_column_add_text(&columns[6], s->account);
		add_excerpt(&columns[7], s);
		count++;
	}
	if (count == 0)
		return;
	for (int i = 0; i < 8; i++)
		values[i] = rf_column_array(&columns[i]);
	values[8] = Int64GetDatum(incarnation);
	(void) rf_statement_run(&statement, values, NULL);
}

static void
write_waiting(int64 incarnation, List *settlements)
{
	static RfStatement statement = {
		"UPDATE roleferry.outbox AS o"
		" SET worker = NULL, claimed_at = NULL, run_at = e.run_at,"
		" failures = o.failures + e.charged, attempts = o.attempts - e.returned"
		" FROM ROWS FROM (unnest($1), unnest($2), unnest($3), unnest($4)) AS e (job_id, run_at, charged, returned)"
		" WHERE o.id = e.job_id AND o.worker = $5",
		5, {INT8ARRAYOID, TIMESTAMPTZARRAYOID, INT4ARRAYOID, INT4ARRAYOID, INT8OID}, NULL
	};
	static const Oid types[4] = {INT8OID, TIMESTAMPTZOID, INT4OID, INT4OID};
	RfColumn	columns[4];
	Datum		values[5];
	ListCell   *lc;
	int			count = 0;

	for (int i = 0; i < 4; i++)
		rf_column_init(&columns[i], types[i]);
	foreach(lc, settlements)
	{
		const RfSettlement *s = lfirst(lc);

		if (s->kind != RF_SETTLE_WAIT && s->kind != RF_SETTLE_GIVE_BACK)
			continue;
		if (s->found != NULL)
			rf_found_write(incarnation, s->job_id, s->found);
		rf_column_add(&columns[0], Int64GetDatum(s->job_id), false);
		rf_column_add(&columns[1], TimestampTzGetDatum(s->run_at), false);
		rf_column_add(&columns[2], Int32GetDatum(s->charged), false);
		rf_column_add(&columns[3], Int32GetDatum(s->kind == RF_SETTLE_GIVE_BACK ? 1 : 0), false);
		count++;
	}
	if (count == 0)
		return;
	for (int i = 0; i < 4; i++)
		values[i] = rf_column_array(&columns[i]);
	values[4] = Int64GetDatum(incarnation);
	(void) rf_statement_run(&statement, values, NULL);
}

static void
write_attempts(List *settlements, int attempt_table)
{
#define ATTEMPT_INSERT(table) { \
		"INSERT INTO roleferry." table \
		" (job_id, attempt, started_at, took, http_status, account, outcome, verdict, reason, excerpt)" \
		" SELECT e.job_id, e.attempt, e.started_at, e.took, e.http_status, e.account, e.outcome, e.verdict, e.reason, e.excerpt" \
		" FROM ROWS FROM (unnest($1), unnest($2), unnest($3), unnest($4), unnest($5), unnest($6), unnest($7), unnest($8), unnest($9), unnest($10))" \
		" AS e (job_id, attempt, started_at, took, http_status, account, outcome, verdict, reason, excerpt)", \
		10, {INT8ARRAYOID, INT4ARRAYOID, TIMESTAMPTZARRAYOID, INTERVALARRAYOID, INT4ARRAYOID, \
		TEXTARRAYOID, TEXTARRAYOID, TEXTARRAYOID, TEXTARRAYOID, BYTEAARRAYOID}, NULL}
	static RfStatement statements[3] = {
		ATTEMPT_INSERT("attempt_0"),
		ATTEMPT_INSERT("attempt_1"),
		ATTEMPT_INSERT("attempt_2")
	};
	static const Oid types[10] = {
		INT8OID, INT4OID, TIMESTAMPTZOID, INTERVALOID, INT4OID,
		TEXTOID, TEXTOID, TEXTOID, TEXTOID, BYTEAOID
	};
	RfColumn	columns[10];
	Datum		values[10];
	ListCell   *lc;
	int			count = 0;

	for (int i = 0; i < 10; i++)
		rf_column_init(&columns[i], types[i]);
	foreach(lc, settlements)
	{
		const RfSettlement *s = lfirst(lc);
		Interval   *took;

		if (s->verdict == NULL)
			continue;
		took = palloc0(sizeof(Interval));
		took->time = s->took_us;
		rf_column_add(&columns[0], Int64GetDatum(s->job_id), false);
		rf_column_add(&columns[1], Int32GetDatum(s->attempt), false);
		rf_column_add(&columns[2], TimestampTzGetDatum(s->started_at), false);
		rf_column_add(&columns[3], IntervalPGetDatum(took), false);
		add_status(&columns[4], s);
		rf_column_add_text(&columns[5], s->account);
		rf_column_add_text(&columns[6], rf_outcome_class_text(s->outcome.class));
		rf_column_add_text(&columns[7], s->verdict);
		rf_column_add_text(&columns[8], s->outcome.reason);
		add_excerpt(&columns[9], s);
		count++;
	}
	if (count == 0)
		return;
	for (int i = 0; i < 10; i++)
		values[i] = rf_column_array(&columns[i]);
	(void) rf_statement_run(&statements[attempt_table], values, NULL);
}

static void
add_status(RfColumn *column, const RfSettlement *s)
{
	rf_column_add(column, Int32GetDatum(s->outcome.http_status),
				  s->outcome.http_status == 0);
}

static void
add_excerpt(RfColumn *column, const RfSettlement *s)
{
	bytea	   *bytes;

	if (s->excerpt == NULL || s->excerpt_len == 0)
	{
		rf_column_add(column, (Datum) 0, true);
		return;
	}
	bytes = palloc(VARHDRSZ + s->excerpt_len);
	SET_VARSIZE(bytes, VARHDRSZ + s->excerpt_len);
	memcpy(VARDATA(bytes), s->excerpt, s->excerpt_len);
	rf_column_add(column, PointerGetDatum(bytes), false);
}

/* In this database's encoding already. */
static void
add_text(RfColumn *column, const char *value)
{
	rf_column_add(column, value ? CStringGetTextDatum(value) : (Datum) 0, value == NULL);
}

static const char *
or_null(const char *value)
{
	return value[0] != '\0' ? value : NULL;
}
