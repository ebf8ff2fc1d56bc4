/*-------------------------------------------------------------------------
 *
 * event_write.c
 *	  The lives of mails, and the end of doubts about them.
 *
 * A batch is one statement for each thing it changes.  A life is merged by
 * minima and sums, so that it comes out the same in whatever order its events
 * come; rows are locked in the order of their jobs.
 *
 * IDENTIFICATION
 *	  src/outbox/event_write.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"

#include "outbox/event_write.h"
#include "outbox/statement.h"
#include "settings.h"
#include "shmem/fault.h"

/* Events that are taken up at once. */
#define RETRY_BATCH 100

static int	collect_unknown(RfEventEntry *entries, int nentries, bool taken,
							const char *source, Datum *values);
static bool is_another(RfEventEntry *entries, int position, bool taken);
static void mark_settled(RfEventEntry *entries, int nentries);

/*
 * Whatever is told of a mail, of any recipient, proves that it was taken; only a
 * rejection, which must be of to_addr, that it was not.
 */
#define PROVES_TAKEN(kind)	((kind) != RF_EVENT_REJECTED)

/* Of an unknown send, with why: the same row that settle() writes. */
#define SETTLE_AS_SENT \
	" gone AS (DELETE FROM roleferry.dead_letter AS d USING picked AS p WHERE d.job_id = p.job_id" \
	" RETURNING d.*, p.message_id, p.why)" \
	" INSERT INTO roleferry.message (job_id, created_at, sent_at, http_status, attempts, account, provider," \
	" message_id, raw_message_id, role, queue, tenant_key, from_addr, to_addr, subject, note)" \
	" SELECT g.job_id, g.created_at, g.finished_at, g.http_status, g.attempts," \
	" coalesce(g.account, 'unknown'), coalesce(roleferry.account_provider(g.account), 'unknown')," \
	" g.message_id, g.message_id, g.role, g.queue, g.tenant_key," \
	" g.args ->> 'from_addr', g.args ->> 'to_addr', g.args ->> 'subject'," \
	" CASE WHEN g.on_done IS NULL THEN g.why ELSE roleferry.on_done_tell(g.on_done, g.role, g.tenant_key, g.job_id," \
	" g.task, 'sent', roleferry.account_provider(g.account), g.message_id, g.why, g.http_status, g.idempotency_key) END" \
	" FROM gone AS g" \
	" RETURNING job_id"

void
rf_event_write_settled(RfEventEntry *entries, int nentries, const char *source)
{
	static RfStatement sent = {
		"WITH picked AS MATERIALIZED (SELECT d.job_id, e.message_id, e.why"
		" FROM ROWS FROM (unnest($1), unnest($2), unnest($3)) AS e (job_id, message_id, why)"
		" JOIN roleferry.dead_letter AS d ON d.job_id = e.job_id"
		" WHERE d.state = 'unknown' ORDER BY d.job_id FOR UPDATE OF d),"
		SETTLE_AS_SENT,
		3, {INT8ARRAYOID, TEXTARRAYOID, TEXTARRAYOID}, NULL
	};
	static RfStatement failed = {
		"WITH picked AS MATERIALIZED (SELECT d.job_id, e.why"
		" FROM ROWS FROM (unnest($1), unnest($2), unnest($3)) AS e (job_id, message_id, why)"
		" JOIN roleferry.dead_letter AS d ON d.job_id = e.job_id"
		" WHERE d.state = 'unknown' ORDER BY d.job_id FOR UPDATE OF d)"
		" UPDATE roleferry.dead_letter AS d SET state = 'failed', note = p.why FROM picked AS p"
		" WHERE d.job_id = p.job_id RETURNING d.job_id",
		3, {INT8ARRAYOID, TEXTARRAYOID, TEXTARRAYOID}, NULL
	};
	Datum		values[3];

	if (collect_unknown(entries, nentries, true, source, values) > 0)
	{
		(void) rf_statement_run(&sent, values, NULL);
		mark_settled(entries, nentries);
	}
	RF_FAULT("event_settled");
	if (collect_unknown(entries, nentries, false, source, values) > 0)
	{
		(void) rf_statement_run(&failed, values, NULL);
		mark_settled(entries, nentries);
	}
}

void
rf_event_write_lives(RfEventEntry *entries, int nentries)
{
	/* Kinds are RfEventKind: 2 accepted, 3 deferred, 4 delivered, ... */
	static RfStatement write = {
		"INSERT INTO roleferry.message_life AS l (job_id, last_event_at, accepted_at, deferred_at, delivered_at,"
		" bounced_at, rejected_at, opened_at, clicked_at, complained_at, unsubscribed_at,"
		" deferrals, opens, clicks, hard, reason)"
		" SELECT e.job_id, max(e.at), min(e.at) FILTER (WHERE e.kind = 2), min(e.at) FILTER (WHERE e.kind = 3),"
		" min(e.at) FILTER (WHERE e.kind = 4), min(e.at) FILTER (WHERE e.kind = 5),"
		" min(e.at) FILTER (WHERE e.kind = 6), min(e.at) FILTER (WHERE e.kind = 7),"
		" min(e.at) FILTER (WHERE e.kind = 8), min(e.at) FILTER (WHERE e.kind = 9),"
		" min(e.at) FILTER (WHERE e.kind = 10), count(*) FILTER (WHERE e.kind = 3),"
		" count(*) FILTER (WHERE e.kind = 7), count(*) FILTER (WHERE e.kind = 8),"
		" bool_or(e.hard), max(e.reason) FILTER (WHERE e.kind IN (5, 6))"
		" FROM ROWS FROM (unnest($1), unnest($2), unnest($3), unnest($4), unnest($5))"
		" AS e (job_id, kind, at, hard, reason) GROUP BY e.job_id ORDER BY e.job_id"
		" ON CONFLICT (job_id) DO UPDATE SET"
		" last_event_at = greatest(l.last_event_at, excluded.last_event_at),"
		" accepted_at = least(l.accepted_at, excluded.accepted_at),"
		" deferred_at = least(l.deferred_at, excluded.deferred_at),"
		" delivered_at = least(l.delivered_at, excluded.delivered_at),"
		" bounced_at = least(l.bounced_at, excluded.bounced_at),"
		" rejected_at = least(l.rejected_at, excluded.rejected_at),"
		" opened_at = least(l.opened_at, excluded.opened_at),"
		" clicked_at = least(l.clicked_at, excluded.clicked_at),"
		" complained_at = least(l.complained_at, excluded.complained_at),"
		" unsubscribed_at = least(l.unsubscribed_at, excluded.unsubscribed_at),"
		" deferrals = l.deferrals + excluded.deferrals, opens = l.opens + excluded.opens,"
		" clicks = l.clicks + excluded.clicks, hard = l.hard OR excluded.hard,"
		" reason = greatest(l.reason, excluded.reason)",
		5, {INT8ARRAYOID, INT4ARRAYOID, TIMESTAMPTZARRAYOID, BOOLARRAYOID, TEXTARRAYOID}, NULL
	};
	static const Oid types[5] = {INT8OID, INT4OID, TIMESTAMPTZOID, BOOLOID, TEXTOID};
	RfColumn	columns[5];
	Datum		values[5];
	int			count = 0;

	for (int i = 0; i < 5; i++)
		rf_column_init(&columns[i], types[i]);
	for (int i = 0; i < nentries; i++)
	{
		const RfEventEntry *entry = &entries[i];

		RfEventKind kind = entry->event->kind;

		if (entry->effect.standing != RF_EVENT_MATCHED)
			continue;
		if (!entry->of_to_addr)
		{
			if (!PROVES_TAKEN(kind))
				continue;
			kind = RF_EVENT_ACCEPTED;	/* that much is known of the mail */
		}
		rf_column_add(&columns[0], Int64GetDatum(entry->effect.job_id), false);
		rf_column_add(&columns[1], Int32GetDatum((int32) kind), false);
		rf_column_add(&columns[2], TimestampTzGetDatum(entry->at), false);
		rf_column_add(&columns[3], BoolGetDatum(entry->event->hard && kind == RF_EVENT_BOUNCED), false);
		rf_column_add_text(&columns[4], entry->event->reason[0] ? entry->event->reason : NULL);
		count++;
	}
	if (count == 0)
		return;
	for (int i = 0; i < 5; i++)
		values[i] = rf_column_array(&columns[i]);
	(void) rf_statement_run(&write, values, NULL);
	RF_FAULT("event_lives");
}

uint64
rf_events_settle_late(void)
{
	static RfStatement sent = {
		"WITH picked AS MATERIALIZED (SELECT d.job_id, NULL::text AS message_id,"
		" 'settled as sent: an event of it came before it was unknown' AS why"
		" FROM roleferry.dead_letter AS d JOIN roleferry.message_life AS l ON l.job_id = d.job_id"
		" WHERE d.state = 'unknown' AND coalesce(l.accepted_at, l.deferred_at, l.delivered_at, l.bounced_at,"
		" l.opened_at, l.clicked_at, l.complained_at, l.unsubscribed_at) IS NOT NULL"
		" ORDER BY d.job_id LIMIT 1000 FOR UPDATE OF d SKIP LOCKED),"
		SETTLE_AS_SENT,
		0, {0}, NULL
	};
	static RfStatement failed = {
		"WITH picked AS MATERIALIZED (SELECT d.job_id FROM roleferry.dead_letter AS d"
		" JOIN roleferry.message_life AS l ON l.job_id = d.job_id"
		" WHERE d.state = 'unknown' AND l.rejected_at IS NOT NULL"
		" ORDER BY d.job_id LIMIT 1000 FOR UPDATE OF d SKIP LOCKED)"
		" UPDATE roleferry.dead_letter AS d SET state = 'failed',"
		" note = 'settled as not sent: it was reported as rejected before it was unknown'"
		" FROM picked AS p WHERE d.job_id = p.job_id",
		0, {0}, NULL
	};
	uint64		count = rf_statement_run(&sent, NULL, NULL);

	return count + rf_statement_run(&failed, NULL, NULL);
}

/* Where what events do by themselves has failed, and the time has come. */
void
rf_events_retry(void)
{
	static RfStatement due = {
		"SELECT FROM roleferry.webhook_event AS e WHERE e.next_at <= pg_catalog.now() LIMIT 1", 0, {0}, NULL
	};
	static RfStatement retry = {
		"SELECT pg_catalog.count(*) FROM roleferry.webhook_retry(" CppAsString2(RETRY_BATCH) ")", 0, {0}, NULL
	};

	if (rf_statement_run(&due, NULL, NULL) > 0)
		(void) rf_statement_run(&retry, NULL, NULL);
}

/*
 * The lane is another hash over the same as that of rf_job_check(), so that it
 * says as well when its jobs can go.  The key stays where it was taken.
 */
uint64
rf_events_resend(void)
{
	static RfStatement resend = {
		"WITH picked AS MATERIALIZED (SELECT d.job_id FROM roleferry.dead_letter AS d"
		" LEFT JOIN roleferry.message_life AS l ON l.job_id = d.job_id"
		" WHERE d.state = 'unknown' AND d.finished_at < pg_catalog.now() - $1"
		" AND d.delivery = 'at_least_once' AND l.job_id IS NULL"
		" AND d.failures < coalesce(d.max_attempts, $2) AND d.accounts IS NOT NULL"
		" ORDER BY d.finished_at LIMIT 1000 FOR UPDATE OF d SKIP LOCKED),"
		" gone AS (DELETE FROM roleferry.dead_letter AS d USING picked AS p WHERE d.job_id = p.job_id RETURNING d.*)"
		" INSERT INTO roleferry.outbox (id, lane, created_at, attempts, failures, max_attempts, priority,"
		" delivery, task, role, queue, tenant_key, order_key, on_done, accounts, args, mode)"
		" SELECT g.job_id, greatest(h.lane & x'7fffffffffffffff'::bigint, 16),"
		" g.created_at, g.attempts, g.failures, g.max_attempts, g.priority, g.delivery, g.task, g.role,"
		" g.queue, g.tenant_key, g.order_key, g.on_done, g.accounts, g.args, g.mode FROM gone AS g CROSS JOIN LATERAL"
		" pg_catalog.hashtextextended(concat_ws(E'\\n', g.queue, g.task, coalesce(g.tenant_key, ''),"
		" array_to_string(g.accounts, E'\\n')) COLLATE \"C\", 1) AS h (lane)",
		2, {INTERVALOID, INT4OID}, NULL
	};
	Interval   *after;
	Datum		values[2];

	if (rf_resend_unknown_after == 0)
		return 0;
	after = palloc0(sizeof(Interval));
	after->time = (int64) rf_resend_unknown_after * USECS_PER_MINUTE;
	values[0] = IntervalPGetDatum(after);
	values[1] = Int32GetDatum(rf_max_attempts);
	return rf_statement_run(&resend, values, NULL);
}

/* The jobs to settle so, once each, with the event that says it. */
static int
collect_unknown(RfEventEntry *entries, int nentries, bool taken,
				const char *source, Datum *values)
{
	RfColumn	columns[3];
	int			count = 0;

	rf_column_init(&columns[0], INT8OID);
	rf_column_init(&columns[1], TEXTOID);
	rf_column_init(&columns[2], TEXTOID);
	for (int i = 0; i < nentries; i++)
	{
		const RfEvent *event = entries[i].event;

		if (!entries[i].unknown || entries[i].effect.settled ||
			(!taken && !entries[i].of_to_addr) ||
			PROVES_TAKEN(event->kind) != taken || is_another(entries, i, taken))
			continue;
		rf_column_add(&columns[0], Int64GetDatum(entries[i].effect.job_id), false);
		rf_column_add_text(&columns[1], event->message_id[0] ? event->message_id : NULL);
		rf_column_add_text(&columns[2],
						   psprintf("settled as %s by event " INT64_FORMAT " of \"%s\": %s",
									taken ? "sent" : "not sent", entries[i].row, source,
									rf_event_kind_text(event->kind)));
		count++;
	}
	for (int i = 0; count > 0 && i < 3; i++)
		values[i] = rf_column_array(&columns[i]);
	return count;
}

/* An earlier one says so of the same job; doubts are few. */
static bool
is_another(RfEventEntry *entries, int position, bool taken)
{
	for (int i = 0; i < position; i++)
		if (entries[i].unknown && entries[i].effect.job_id == entries[position].effect.job_id &&
			(taken || entries[i].of_to_addr) &&
			PROVES_TAKEN(entries[i].event->kind) == taken)
			return true;
	return false;
}

/* Those that the statement returned, all events of theirs. */
static void
mark_settled(RfEventEntry *entries, int nentries)
{
	for (uint64 row = 0; row < SPI_processed; row++)
	{
		bool		isnull;
		int64		job_id = DatumGetInt64(SPI_getbinval(SPI_tuptable->vals[row],
														 SPI_tuptable->tupdesc, 1, &isnull));

		for (int i = 0; i < nentries; i++)
			if (entries[i].unknown && entries[i].effect.job_id == job_id)
				entries[i].effect.settled = true;
	}
}
