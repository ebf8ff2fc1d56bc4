/*-------------------------------------------------------------------------
 *
 * metrics.c
 *	  What the dispatcher counts, and tells a DogStatsD agent.
 *
 * Counting goes into shared memory at once, for the statistics views.  For the
 * agent, what is alike (the same account, endpoint and status) comes together
 * here and leaves as one line a second with as many values as there were; a
 * turn sends at most what has come together in it.  Names and tags are from
 * closed lists; the names of accounts are the operator's own, and are cleaned.
 *
 * IDENTIFICATION
 *	  src/worker/metrics.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "miscadmin.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

#include "core/dogstatsd.h"
#include "settings.h"
#include "shmem/stat.h"
#include "worker/batches.h"
#include "worker/gauges.h"
#include "worker/metrics.h"
#include "worker/state.h"
#include "worker/statsd_socket.h"

#define FLUSH_US		INT64CONST(1000000)
#define GAUGES_US		INT64CONST(10000000)	/* what Datadog's agent sums
												 * over */

#define MAX_SERIES		256		/* accounts times endpoints times statuses */
#define MAX_VALUES		500		/* of one series, until the turn's end */
#define NAME_MAX_		128

/* Transfers of one account that went to the same end. */
typedef struct Series
{
	const RfRosterEntry *entry;
	const char *endpoint;
	const char *status;
	int64		calls;
	int			nvalues;
	int64_t		took_us[MAX_VALUES];
} Series;

static RfStatsd *statsd = NULL; /* NULL: nobody wants metrics */
static Series *series[MAX_SERIES];
static int	nseries = 0;
static bool full = false;		/* one of them has no room for more */
static int64 mails_refused = 0; /* by every account */
static int64 next_flush_us = 0;
static int64 next_gauges_us = 0;

static void common_tags(RfStatsd *to);
static Series *find_series(const RfRosterEntry *entry, const char *endpoint,
						   const char *status);
static const char *endpoint_of(const RfFlight *flight);
static const char *status_of(const RfFlight *flight, const RfOutcome *outcome);
static void write_series(Series *s);
static void write_counts(void);

void
rf_metrics_configure(void)
{
	RfStatsdTarget target;

	if (!rf_statsd_target_parse(rf_dogstatsd ? rf_dogstatsd : "", &target))
		memset(&target, 0, sizeof(target));
	rf_statsd_socket_aim(&target);
	if (target.transport == RF_STATSD_NONE)
	{
		if (statsd != NULL)
			pfree(statsd);
		statsd = NULL;
		return;
	}
	if (statsd == NULL)
		statsd = MemoryContextAlloc(TopMemoryContext, sizeof(RfStatsd));
	rf_statsd_init(statsd, target.transport == RF_STATSD_UNIX ? RF_STATSD_UNIX_MAX : RF_STATSD_UDP_MAX,
				   rf_statsd_socket_send, NULL);
	common_tags(statsd);
	rf_gauges_begin();
	next_gauges_us = 0;
}

void
rf_metrics_transfer(const RfFlight *flight, const RfOutcome *outcome)
{
	const RfTransfer *transfer = &flight->transfer;
	RfStatTransfer stat;
	Series	   *s;

	memset(&stat, 0, sizeof(stat));
	stat.class = outcome->class;
	stat.reason = outcome->reason;
	stat.http_status = outcome->http_status;
	stat.sent_bytes = transfer->sent_us != 0 ? transfer->request.body_len : 0;
	stat.received_bytes = transfer->response.body_len;
	stat.reused = transfer->reused;
	stat.took_us = Max(transfer->finished_us - transfer->started_us, 0);
	rf_stat_transfer(MyDatabaseId, flight->entry->server, &stat);
	if (statsd == NULL)
		return;
	s = find_series(flight->entry, endpoint_of(flight), status_of(flight, outcome));
	if (s == NULL)
		return;
	s->calls++;
	if (s->nvalues < MAX_VALUES)
		s->took_us[s->nvalues++] = stat.took_us;
	if (s->nvalues == MAX_VALUES)
		full = true;
}

void
rf_metrics_job(const RfClaimedJob *job, const RfSettlement *settlement)
{
	RfStatJob	what = RF_STAT_OTHER;

	switch (settlement->kind)
	{
		case RF_SETTLE_SENT:
			what = RF_STAT_SENT;
			break;
		case RF_SETTLE_DONE:
			what = RF_STAT_DONE;
			break;
		case RF_SETTLE_WAIT:
			if (settlement->found != NULL)
				return;
			what = RF_STAT_RETRIED;
			break;
		case RF_SETTLE_DEAD:
			if (strcmp(settlement->state, "failed") == 0)
				what = RF_STAT_FAILED;
			else if (strcmp(settlement->state, "unknown") == 0)
				what = RF_STAT_UNKNOWN;
			break;
		case RF_SETTLE_GIVE_BACK:
		case RF_SETTLE_NONE:
			return;
	}
	rf_stat_job(MyDatabaseId, job->queue ? job->queue : "", what, 1);
	if (what == RF_STAT_FAILED && job->task != NULL && strcmp(job->task, "send_email") == 0)
		mails_refused++;
}

void
rf_metrics_circuit(Oid server, const char *to)
{
	const RfRosterEntry *entry = rf_roster_find_server(server);
	RfStatsdTags tags = {""};

	if (statsd == NULL || entry == NULL)
		return;
	rf_statsd_tag(&tags, "account", entry->name);
	rf_statsd_tag(&tags, "to", to);
	rf_statsd_count(statsd, "roleferry.circuit.transitions", 1, &tags);
}

void
rf_metrics_flush(RfDispatcher *d)
{
	int64		now;

	if (statsd == NULL)
		return;
	now = rf_gate_now_us();
	if (!full && now < next_flush_us)
		return;
	if (now >= next_gauges_us)
	{
		rf_gauges_write(statsd, d);
		next_gauges_us = now + GAUGES_US;
	}
	for (int i = 0; i < nseries; i++)
		write_series(series[i]);
	full = false;
	if (now >= next_flush_us)
	{
		write_counts();
		next_flush_us = now + FLUSH_US;
	}
	rf_statsd_flush(statsd);
}

int64
rf_metrics_due_us(void)
{
	return statsd == NULL ? INT64_MAX : Min(next_gauges_us, full ? 0 : INT64_MAX);
}

void
rf_metrics_leave(void)
{
	if (statsd == NULL)
		return;
	for (int i = 0; i < nseries; i++)
		write_series(series[i]);
	write_counts();
	rf_statsd_flush(statsd);
}

/* Those of the setting, then Datadog's own of the server's environment. */
static void
common_tags(RfStatsd *to)
{
	static const char *const names[][2] = {
		{"env", "DD_ENV"}, {"service", "DD_SERVICE"}, {"version", "DD_VERSION"}
	};
	RfStatsdTags tags = {""};

	rf_statsd_tag_list(&tags, rf_dogstatsd_tags ? rf_dogstatsd_tags : "");
	for (int i = 0; i < lengthof(names); i++)
	{
		const char *value = getenv(names[i][1]);

		if (value != NULL)
			rf_statsd_tag(&tags, names[i][0], value);
	}
	strlcpy(to->common, tags.text, sizeof(to->common));
}

/* NULL: there are too many. */
static Series *
find_series(const RfRosterEntry *entry, const char *endpoint, const char *status)
{
	Series	   *s;

	for (int i = 0; i < nseries; i++)
	{
		s = series[i];
		if (s->entry == entry && strcmp(s->status, status) == 0 &&
			strcmp(s->endpoint, endpoint) == 0)
			return s;
	}
	if (nseries == MAX_SERIES)
		return NULL;
	s = MemoryContextAllocZero(TopMemoryContext, sizeof(Series));
	s->entry = entry;
	s->endpoint = endpoint;
	s->status = status;
	series[nseries++] = s;
	return s;
}

/* Of a closed list: constants of ours, whatever the job says. */
static const char *
endpoint_of(const RfFlight *flight)
{
	if (flight->batch != NULL)
		return flight->batch->kind->task;
	return flight->question != NULL ? "search_people" : "send";
}

static const char *
status_of(const RfFlight *flight, const RfOutcome *outcome)
{
	if (flight->transfer.timed_out)
		return "timeout";
	switch (outcome->class)
	{
		case RF_OUTCOME_OK:
			return "success";
		case RF_OUTCOME_MISS:
			return "miss";
		case RF_OUTCOME_PENDING:
			return "pending";
		case RF_OUTCOME_THROTTLE:
			return "throttled";
		case RF_OUTCOME_QUOTA:
			return "quota";
		case RF_OUTCOME_CREDENTIAL:
			return "credential";
		case RF_OUTCOME_CONFIG:
		case RF_OUTCOME_PERMANENT:
			return "refused";
		case RF_OUTCOME_TRANSIENT:
		case RF_OUTCOME_AMBIGUOUS:
		case RF_OUTCOME_MALFORMED:
			return "error";
	}
	return "error";				/* keep compiler quiet */
}

static void
write_series(Series *s)
{
	const char *provider = s->entry->provider->name;
	char		name[NAME_MAX_];
	RfStatsdTags tags = {""};

	if (s->calls == 0)
		return;
	rf_statsd_tag(&tags, "endpoint", s->endpoint);
	rf_statsd_tag(&tags, "status", s->status);
	rf_statsd_tag(&tags, "account", s->entry->name);
	snprintf(name, sizeof(name), "roleferry.%s.latency", provider);
	rf_statsd_durations(statsd, name, s->took_us, s->nvalues, &tags);
	snprintf(name, sizeof(name), "roleferry.%s.calls", provider);
	rf_statsd_count(statsd, name, s->calls, &tags);
	if (strcmp(s->endpoint, "send") == 0 && strcmp(s->status, "success") != 0)
	{
		snprintf(name, sizeof(name), "roleferry.email.%s.error", provider);
		rf_statsd_count(statsd, name, s->calls, &tags);
	}
	s->calls = 0;
	s->nvalues = 0;
}

static void
write_counts(void)
{
	int64		dropped = rf_statsd_socket_dropped();

	rf_gauges_write_counts(statsd);
	if (mails_refused > 0)
		rf_statsd_count(statsd, "roleferry.email.all_providers.error", mails_refused, NULL);
	mails_refused = 0;
	if (dropped > 0)
		rf_statsd_count(statsd, "roleferry.metrics.dropped", dropped, NULL);
}
