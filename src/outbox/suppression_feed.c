/*-------------------------------------------------------------------------
 *
 * suppression_feed.c
 *	  What events add to the suppression list, and take from it.
 *
 * Who bounced for good or complained gets no mail at all, who unsubscribed none
 * of the stream.  A soft bounce counts; a delivery begins the count anew.
 *
 * IDENTIFICATION
 *	  src/outbox/suppression_feed.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"

#include "outbox/statement.h"
#include "outbox/suppression.h"
#include "settings.h"

static bool is_listed(const RfEventEntry *entry, const char **reason, const char **scope);
static const char *stream_of(const RfEventEntry *entry);
static void add_suppressed(RfEventEntry *entries, int nentries);
static void count_soft_bounces(RfEventEntry *entries, int nentries);
static void forget_soft_bounces(RfEventEntry *entries, int nentries);
static void remove_resubscribed(RfEventEntry *entries, int nentries);
static bool is_mine(const RfEventEntry *entry, RfEventKind kind);

void
rf_suppression_feed(RfEventEntry *entries, int nentries)
{
	add_suppressed(entries, nentries);
	remove_resubscribed(entries, nentries);
	if (rf_soft_bounce_limit == 0)
		return;
	forget_soft_bounces(entries, nentries);
	count_soft_bounces(entries, nentries);
}

static void
add_suppressed(RfEventEntry *entries, int nentries)
{
	static RfStatement make_key = {
		"SELECT roleferry.make_suppression_key()", 0, {0}, NULL
	};
	static RfStatement add = {
		"INSERT INTO roleferry.suppression (address_key, scope, reason, since, event_id, address)"
		" SELECT DISTINCT ON (k.address_key, e.scope) k.address_key, e.scope, e.reason, e.at, e.event_id, e.address"
		" FROM ROWS FROM (unnest($1), unnest($2), unnest($3), unnest($4), unnest($5))"
		" AS e (address, scope, reason, at, event_id)"
		" CROSS JOIN LATERAL (SELECT roleferry.address_key(e.address) OFFSET 0) AS k (address_key)"
		" ORDER BY k.address_key, e.scope, e.at ON CONFLICT DO NOTHING",
		5, {TEXTARRAYOID, TEXTARRAYOID, TEXTARRAYOID, TIMESTAMPTZARRAYOID, INT8ARRAYOID}, NULL
	};
	static const Oid types[5] = {TEXTOID, TEXTOID, TEXTOID, TIMESTAMPTZOID, INT8OID};
	RfColumn	columns[5];
	Datum		values[5];
	int			count = 0;

	for (int i = 0; i < 5; i++)
		rf_column_init(&columns[i], types[i]);
	for (int i = 0; i < nentries; i++)
	{
		const char *reason;
		const char *scope;

		if (!is_listed(&entries[i], &reason, &scope))
			continue;
		rf_column_add_text(&columns[0], entries[i].event->recipient);
		rf_column_add_text(&columns[1], scope);
		rf_column_add_text(&columns[2], reason);
		rf_column_add(&columns[3], TimestampTzGetDatum(entries[i].at), false);
		rf_column_add(&columns[4], Int64GetDatum(entries[i].row), false);
		count++;
	}
	if (count == 0)
		return;
	(void) rf_statement_run(&make_key, NULL, NULL);
	for (int i = 0; i < 5; i++)
		values[i] = rf_column_array(&columns[i]);
	(void) rf_statement_run(&add, values, NULL);
}

static bool
is_listed(const RfEventEntry *entry, const char **reason, const char **scope)
{
	*scope = "global";
	if (is_mine(entry, RF_EVENT_BOUNCED) && entry->event->hard)
		*reason = "bounced";
	else if (is_mine(entry, RF_EVENT_COMPLAINED))
		*reason = "complained";
	else if (is_mine(entry, RF_EVENT_UNSUBSCRIBED))
	{
		*reason = "unsubscribed";
		*scope = stream_of(entry);
	}
	else
		return false;
	return true;
}

static const char *
stream_of(const RfEventEntry *entry)
{
	return entry->event->stream[0] != '\0' ? entry->event->stream : RF_DEFAULT_STREAM;
}

/* By the provider's list the recipient asked for it: what he said here is void. */
static void
remove_resubscribed(RfEventEntry *entries, int nentries)
{
	static RfStatement take = {
		"DELETE FROM roleferry.suppression AS s WHERE s.address_key = (SELECT roleferry.address_key($1))"
		" AND s.scope = $2 AND s.reason = 'unsubscribed' AND s.since < $3",
		3, {TEXTOID, TEXTOID, TIMESTAMPTZOID}, NULL
	};

	for (int i = 0; i < nentries; i++)
	{
		Datum		values[3];

		if (!is_mine(&entries[i], RF_EVENT_RESUBSCRIBED))
			continue;
		values[0] = CStringGetTextDatum(entries[i].event->recipient);
		values[1] = CStringGetTextDatum(rf_text_to_server(stream_of(&entries[i])));
		values[2] = TimestampTzGetDatum(entries[i].at);
		(void) rf_statement_run(&take, values, NULL);
	}
}

static void
count_soft_bounces(RfEventEntry *entries, int nentries)
{
	static RfStatement make_key = {
		"SELECT roleferry.make_suppression_key()", 0, {0}, NULL
	};
	static RfStatement count_them = {
		"WITH bounced AS MATERIALIZED (SELECT roleferry.address_key(e.address) AS address_key, e.address, e.at"
		" FROM ROWS FROM (unnest($1), unnest($2)) AS e (address, at)),"
		" counted AS (INSERT INTO roleferry.soft_bounce AS b (address_key, bounces, first_at, last_at)"
		" SELECT k.address_key, count(*), min(k.at), max(k.at) FROM bounced AS k"
		" GROUP BY k.address_key ORDER BY k.address_key"
		" ON CONFLICT (address_key) DO UPDATE SET bounces = b.bounces + excluded.bounces,"
		" last_at = greatest(b.last_at, excluded.last_at) RETURNING address_key, bounces, last_at)"
		" INSERT INTO roleferry.suppression (address_key, scope, reason, since, address)"
		" SELECT DISTINCT ON (c.address_key) c.address_key, 'global', 'soft_bounces', c.last_at, k.address"
		" FROM counted AS c JOIN bounced AS k ON k.address_key = c.address_key"
		" WHERE c.bounces >= $3 ORDER BY c.address_key ON CONFLICT DO NOTHING",
		3, {TEXTARRAYOID, TIMESTAMPTZARRAYOID, INT4OID}, NULL
	};
	RfColumn	addresses;
	RfColumn	times;
	Datum		values[3];
	int			count = 0;

	rf_column_init(&addresses, TEXTOID);
	rf_column_init(&times, TIMESTAMPTZOID);
	for (int i = 0; i < nentries; i++)
	{
		if (!is_mine(&entries[i], RF_EVENT_BOUNCED) || entries[i].event->hard)
			continue;
		rf_column_add_text(&addresses, entries[i].event->recipient);
		rf_column_add(&times, TimestampTzGetDatum(entries[i].at), false);
		count++;
	}
	if (count == 0)
		return;
	(void) rf_statement_run(&make_key, NULL, NULL);
	values[0] = rf_column_array(&addresses);
	values[1] = rf_column_array(&times);
	values[2] = Int32GetDatum(rf_soft_bounce_limit);
	(void) rf_statement_run(&count_them, values, NULL);
}

/* A delivery says that the mailbox is well; asked only where anything bounced. */
static void
forget_soft_bounces(RfEventEntry *entries, int nentries)
{
	static RfStatement any = {
		"SELECT FROM roleferry.soft_bounce AS b LIMIT 1", 0, {0}, NULL
	};
	static RfStatement forget = {
		"DELETE FROM roleferry.soft_bounce AS b WHERE b.address_key = ANY (ARRAY("
		"SELECT c.address_key FROM roleferry.soft_bounce AS c WHERE c.address_key = ANY (ARRAY("
		"SELECT roleferry.address_key(e.address) FROM unnest($1) AS e (address)))"
		" ORDER BY c.address_key FOR UPDATE))",
		1, {TEXTARRAYOID}, NULL
	};
	RfColumn	addresses;
	Datum		value;
	int			count = 0;

	rf_column_init(&addresses, TEXTOID);
	for (int i = 0; i < nentries; i++)
	{
		if (!is_mine(&entries[i], RF_EVENT_DELIVERED))
			continue;
		rf_column_add_text(&addresses, entries[i].event->recipient);
		count++;
	}
	if (count == 0 || rf_statement_run(&any, NULL, NULL) == 0)
		return;
	value = rf_column_array(&addresses);
	(void) rf_statement_run(&forget, &value, NULL);
}

/* Of this kind, about somebody, and not another installation's affair. */
static bool
is_mine(const RfEventEntry *entry, RfEventKind kind)
{
	return entry->event->kind == kind && entry->event->recipient[0] != '\0' &&
		entry->effect.standing != RF_EVENT_FOREIGN;
}
