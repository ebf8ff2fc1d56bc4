/*-------------------------------------------------------------------------
 *
 * metrics.c
 *	  The counters as Prometheus reads them, and whether all is well.
 *
 * The text is put together from shared memory alone, without a query, so that
 * being scraped costs next to nothing whatever the outbox holds.
 *
 * IDENTIFICATION
 *	  src/api/metrics.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "fmgr.h"
#include "funcapi.h"
#include "lib/stringinfo.h"
#include "miscadmin.h"
#include "utils/builtins.h"

#include "account/account.h"
#include "api/exposition.h"
#include "api/version.h"
#include "outbox/activation.h"
#include "shmem/gate.h"
#include "shmem/limit.h"
#include "shmem/shared.h"
#include "shmem/stat.h"

/* Buckets of the exposition: one a doubling, from 1.024 ms on. */
#define FIRST_DOUBLING	4

static void add_requests(StringInfo out);
static void add_durations(StringInfo out);
static void add_bytes(StringInfo out);
static void add_gates(StringInfo out);
static void add_limits(StringInfo out);
static void add_process(StringInfo out);
static void add_labels(StringInfo out, const RfAccount *account);
static bool next_account(int *i, RfStatAccountView *view, const RfAccount **account);
static const RfAccount *find_account(Oid server);

PG_FUNCTION_INFO_V1(roleferry_metrics);
PG_FUNCTION_INFO_V1(roleferry_healthy);

Datum
roleferry_metrics(PG_FUNCTION_ARGS)
{
	StringInfoData out;

	rf_shared_require();
	initStringInfo(&out);
	add_process(&out);
	add_requests(&out);
	add_durations(&out);
	add_bytes(&out);
	rf_exposition_jobs(&out);
	add_gates(&out);
	add_limits(&out);
	PG_RETURN_TEXT_P(cstring_to_text_with_len(out.data, out.len));
}

/* One row: is there a dispatcher, and may it send?  If not, why? */
Datum
roleferry_healthy(PG_FUNCTION_ARGS)
{
	TupleDesc	desc;
	RfActivation activation;
	const char *reason = NULL;
	Datum		values[2];
	bool		nulls[2] = {false, false};

	if (get_call_result_type(fcinfo, NULL, &desc) != TYPEFUNC_COMPOSITE)
		elog(ERROR, "return type must be a row type");
	rf_version_require_columns(desc, lengthof(values));
	if (rf_shared == NULL)
		reason = "roleferry is not preloaded";
	else if (rf_shared_find_dispatcher(MyDatabaseId) == NULL)
		reason = "no dispatcher serves this database";
	else
	{
		rf_activation_read(&activation);
		if (activation.state != RF_ACTIVATION_ACTIVE)
			reason = "this database is not active";
	}
	values[0] = BoolGetDatum(reason == NULL);
	nulls[1] = reason == NULL;
	values[1] = CStringGetTextDatum(reason != NULL ? reason : "");
	PG_RETURN_DATUM(HeapTupleGetDatum(heap_form_tuple(BlessTupleDesc(desc), values, nulls)));
}

void
rf_exposition_head(StringInfo out, const char *name, const char *type, const char *help)
{
	appendStringInfo(out, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, type);
}

static void
add_process(StringInfo out)
{
	rf_exposition_head(out, "roleferry_dispatcher_up", "gauge", "Whether a dispatcher serves this database.");
	appendStringInfo(out, "roleferry_dispatcher_up %d\n",
					 rf_shared_find_dispatcher(MyDatabaseId) != NULL ? 1 : 0);
}

static void
add_requests(StringInfo out)
{
	RfStatAccountView view;
	const RfAccount *account;
	int			i = 0;

	rf_exposition_head(out, "roleferry_requests_total", "counter", "Requests to providers that ended, by outcome.");
	while (next_account(&i, &view, &account))
		for (int class = 0; class < RF_OUTCOME_CLASSES; class++)
		{
			appendStringInfoString(out, "roleferry_requests_total{");
			add_labels(out, account);
			rf_exposition_label(out, "outcome", rf_outcome_class_text((RfOutcomeClass) class));
			appendStringInfo(out, "} " UINT64_FORMAT "\n", view.outcomes[class]);
		}
}

static void
add_durations(StringInfo out)
{
	RfStatAccountView view;
	const RfAccount *account;
	int			i = 0;

	rf_exposition_head(out, "roleferry_request_duration_seconds", "histogram",
					   "How long requests to providers took.");
	while (next_account(&i, &view, &account))
	{
		uint64		count = 0;

		for (int bucket = 0; bucket < RF_HISTOGRAM_BUCKETS; bucket++)
		{
			bool		last = bucket == RF_HISTOGRAM_BUCKETS - 1;
			int			doubling = bucket / RF_HISTOGRAM_PARTS - 1;
			char		end[32] = "+Inf";

			count += view.latency[bucket];
			if (!last && (bucket % RF_HISTOGRAM_PARTS != 0 || doubling < FIRST_DOUBLING))
				continue;
			if (!last)
				snprintf(end, sizeof(end), "%.6f", rf_histogram_end_us(bucket) / 1e6);
			appendStringInfoString(out, "roleferry_request_duration_seconds_bucket{");
			add_labels(out, account);
			rf_exposition_label(out, "le", end);
			appendStringInfo(out, "} " UINT64_FORMAT "\n", count);
		}
		appendStringInfoString(out, "roleferry_request_duration_seconds_sum{");
		add_labels(out, account);
		appendStringInfo(out, "} %.6f\n", view.latency_sum_us / 1e6);
		appendStringInfoString(out, "roleferry_request_duration_seconds_count{");
		add_labels(out, account);
		appendStringInfo(out, "} " UINT64_FORMAT "\n", count);
	}
}

static void
add_bytes(StringInfo out)
{
	RfStatAccountView view;
	const RfAccount *account;
	int			i = 0;

	rf_exposition_head(out, "roleferry_bytes_total", "counter", "Bodies of requests and of answers.");
	while (next_account(&i, &view, &account))
		for (int received = 0; received < 2; received++)
		{
			appendStringInfoString(out, "roleferry_bytes_total{");
			add_labels(out, account);
			rf_exposition_label(out, "direction", received ? "received" : "sent");
			appendStringInfo(out, "} " UINT64_FORMAT "\n", received ? view.received_bytes : view.sent_bytes);
		}
	i = 0;
	rf_exposition_head(out, "roleferry_reused_connections_total", "counter",
					   "Requests that went out on a connection that was open already.");
	while (next_account(&i, &view, &account))
	{
		appendStringInfoString(out, "roleferry_reused_connections_total{");
		add_labels(out, account);
		appendStringInfo(out, "} " UINT64_FORMAT "\n", view.reused);
	}
}

static void
add_gates(StringInfo out)
{
	ListCell   *lc;

	rf_exposition_head(out, "roleferry_circuit_open", "gauge", "Whether the account's circuit is open.");
	foreach(lc, rf_account_list())
	{
		const RfAccount *account = lfirst(lc);
		RfGateView	view;

		rf_gate_look(MyDatabaseId, account->serverid, false, &view);
		appendStringInfoString(out, "roleferry_circuit_open{");
		add_labels(out, account);
		appendStringInfo(out, "} %d\n", view.state == RF_GATE_OPEN ? 1 : 0);
	}
	rf_exposition_head(out, "roleferry_account_paused", "gauge", "Whether the account is paused.");
	foreach(lc, rf_account_list())
	{
		const RfAccount *account = lfirst(lc);
		RfGateView	view;

		rf_gate_look(MyDatabaseId, account->serverid, false, &view);
		appendStringInfoString(out, "roleferry_account_paused{");
		add_labels(out, account);
		appendStringInfo(out, "} %d\n", view.state == RF_GATE_PAUSED ? 1 : 0);
	}
}

/* Those of whole accounts; by key there may be thousands. */
static void
add_limits(StringInfo out)
{
	RfLimitView *views;
	int			nviews = rf_limit_list(MyDatabaseId, &views, rf_gate_now_us());

	rf_exposition_head(out, "roleferry_limit_remaining", "gauge", "Requests that a rate limit lets begin now.");
	for (int i = 0; i < nviews; i++)
	{
		const RfAccount *account = find_account(views[i].key.server);
		char		id[32];

		if (account == NULL || views[i].key.key_hash != 0)
			continue;
		snprintf(id, sizeof(id), INT64_FORMAT, views[i].key.limit_id);
		appendStringInfoString(out, "roleferry_limit_remaining{");
		add_labels(out, account);
		rf_exposition_label(out, "limit", id);
		appendStringInfo(out, "} %u\n", views[i].free);
	}
}

static void
add_labels(StringInfo out, const RfAccount *account)
{
	rf_exposition_label(out, "account", account->name);
	rf_exposition_label(out, "provider", account->provider->name);
}

void
rf_exposition_label(StringInfo out, const char *name, const char *value)
{
	if (out->data[out->len - 1] != '{')
		appendStringInfoChar(out, ',');
	appendStringInfo(out, "%s=\"", name);
	for (const char *c = value; *c != '\0'; c++)
	{
		if (*c == '\n')
			appendStringInfoString(out, "\\n");
		else if (*c == '"' || *c == '\\')
			appendStringInfo(out, "\\%c", *c);
		else
			appendStringInfoChar(out, *c);
	}
	appendStringInfoChar(out, '"');
}

/* The next that has been asked for something and exists. */
static bool
next_account(int *i, RfStatAccountView *view, const RfAccount **account)
{
	while (rf_stat_next(MyDatabaseId, i, view))
	{
		*account = find_account(view->server);
		if (*account != NULL)
			return true;
	}
	return false;
}

static const RfAccount *
find_account(Oid server)
{
	ListCell   *lc;

	foreach(lc, rf_account_list())
		if (((RfAccount *) lfirst(lc))->serverid == server)
		return lfirst(lc);
	return NULL;
}
