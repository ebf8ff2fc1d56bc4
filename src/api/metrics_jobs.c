/*-------------------------------------------------------------------------
 *
 * metrics_jobs.c
 *	  Jobs, queues, events and workers as Prometheus reads them.
 *
 * IDENTIFICATION
 *	  src/api/metrics_jobs.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "miscadmin.h"
#include "utils/timestamp.h"

#include "api/exposition.h"
#include "provider/events.h"
#include "shmem/rejection.h"
#include "shmem/shared.h"
#include "shmem/stat_event.h"
#include "shmem/stat_queue.h"

#define UNIX_EPOCH_US ((int64) (POSTGRES_EPOCH_JDATE - UNIX_EPOCH_JDATE) * USECS_PER_DAY)

typedef double (*Reading) (const RfStatQueueView *view);

static void add_jobs(StringInfo out);
static void add_queue_jobs(StringInfo out);
static void add_queue_gauge(StringInfo out, const char *name, const char *help,
							Reading reading, bool always);
static void add_events(StringInfo out);
static void add_heartbeat(StringInfo out);
static double ready(const RfStatQueueView *view);
static double later(const RfStatQueueView *view);
static double running(const RfStatQueueView *view);
static double oldest_age_s(const RfStatQueueView *view);

static const char *const states[RF_STAT_JOBS] = {"sent", "done", "failed", "unknown", "retried", "other"};

void
rf_exposition_jobs(StringInfo out)
{
	add_jobs(out);
	add_queue_gauge(out, "roleferry_queue_ready", "Jobs that could go now.", ready, false);
	add_queue_gauge(out, "roleferry_queue_scheduled", "Jobs whose time has not come.", later, false);
	add_queue_gauge(out, "roleferry_queue_oldest_claimable_seconds",
					"How long the oldest job that could go has waited.", oldest_age_s, false);
	add_queue_gauge(out, "roleferry_queue_running", "Jobs under way.", running, true);
	add_queue_jobs(out);
	add_events(out);
	add_heartbeat(out);
}

static void
add_jobs(StringInfo out)
{
	uint64		jobs[RF_STAT_JOBS];

	rf_stat_jobs(MyDatabaseId, jobs);
	rf_exposition_head(out, "roleferry_jobs_total", "counter", "What became of jobs.");
	for (int i = 0; i < RF_STAT_JOBS; i++)
		appendStringInfo(out, "roleferry_jobs_total{state=\"%s\"} " UINT64_FORMAT "\n", states[i], jobs[i]);
	rf_exposition_head(out, "roleferry_dead_letters_total", "counter", "Jobs that became dead letters.");
	appendStringInfo(out, "roleferry_dead_letters_total " UINT64_FORMAT "\n", rf_stat_dead_letters(jobs));
}

static void
add_queue_jobs(StringInfo out)
{
	RfStatQueueView view;
	int			i = 0;

	rf_exposition_head(out, "roleferry_queue_jobs_total", "counter", "What became of the jobs of a queue.");
	while (rf_stat_next_queue(MyDatabaseId, &i, &view))
		for (int state = 0; state < RF_STAT_JOBS; state++)
		{
			appendStringInfoString(out, "roleferry_queue_jobs_total{");
			rf_exposition_label(out, "queue", view.name);
			rf_exposition_label(out, "state", states[state]);
			appendStringInfo(out, "} " UINT64_FORMAT "\n", view.jobs[state]);
		}
}

/* What nobody knows is left out. */
static void
add_queue_gauge(StringInfo out, const char *name, const char *help,
				Reading reading, bool always)
{
	RfStatQueueView view;
	int			i = 0;

	rf_exposition_head(out, name, "gauge", help);
	while (rf_stat_next_queue(MyDatabaseId, &i, &view))
	{
		if (view.depth.at == 0 && !always)
			continue;
		appendStringInfo(out, "%s{", name);
		rf_exposition_label(out, "queue", view.name);
		appendStringInfo(out, "} %.15g\n", reading(&view));
	}
}

static void
add_events(StringInfo out)
{
	uint64		events[RF_STAT_EVENT_KINDS][RF_STAT_EVENTS];
	RfRejection *rejections;
	int64		rejected;

	rf_stat_events(MyDatabaseId, events);
	(void) rf_rejection_list(&rejections, &rejected);
	rf_exposition_head(out, "roleferry_webhook_events_total", "counter",
					   "Events that webhooks brought, by kind and by what became of them.");
	for (int kind = 0; kind <= RF_EVENT_RESUBSCRIBED; kind++)
		for (int i = 0; i < RF_STAT_EVENTS; i++)
			appendStringInfo(out, "roleferry_webhook_events_total{kind=\"%s\",result=\"%s\"} " UINT64_FORMAT "\n",
							 rf_event_kind_text((RfEventKind) kind), rf_stat_event_text((RfStatEvent) i),
							 events[kind][i]);
	rf_exposition_head(out, "roleferry_webhook_rejected_total", "counter",
					   "Requests to webhook_receive() that were not accepted, since the server's start.");
	appendStringInfo(out, "roleferry_webhook_rejected_total " INT64_FORMAT "\n", rejected);
}

/* None where none has ever beaten: an alert on its age needs a time to begin with. */
static void
add_heartbeat(StringInfo out)
{
	RfDispatcherSlot *slot = rf_shared_find_dispatcher(MyDatabaseId);
	int64		beat = slot != NULL ? (int64) pg_atomic_read_u64(&slot->pulse.beat) : 0;

	rf_exposition_head(out, "roleferry_dispatcher_heartbeat_timestamp_seconds", "gauge",
					   "When the dispatcher made its last turn; it makes one a second at least.");
	if (beat != 0)
		appendStringInfo(out, "roleferry_dispatcher_heartbeat_timestamp_seconds %.3f\n",
						 (beat + UNIX_EPOCH_US) / 1e6);
}

static double
ready(const RfStatQueueView *view)
{
	return (double) view->depth.ready;
}

static double
later(const RfStatQueueView *view)
{
	return (double) view->depth.later;
}

static double
running(const RfStatQueueView *view)
{
	return view->running;
}

static double
oldest_age_s(const RfStatQueueView *view)
{
	return view->depth.oldest == 0 ? 0 : (view->depth.at - view->depth.oldest) / 1e6;
}
