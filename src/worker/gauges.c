/*-------------------------------------------------------------------------
 *
 * gauges.c
 *	  What a DogStatsD agent is told of shared memory.
 *
 * Executors, sweeps and sessions count there, too, so counts are differences to
 * what was told before; where numbers were begun anew, they are told from
 * nothing.  Tags are words of ours, and the names of queues and accounts, which
 * are the operator's own.
 *
 * IDENTIFICATION
 *	  src/worker/gauges.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "miscadmin.h"

#include "provider/events.h"
#include "shmem/limit.h"
#include "shmem/rejection.h"
#include "shmem/stat_event.h"
#include "shmem/stat_queue.h"
#include "worker/gauges.h"
#include "worker/state.h"

static const char *const states[RF_STAT_JOBS] = {"sent", "done", "failed", "unknown", "retried", "other"};

/* What was told, by the number of the queue's place. */
static uint64 jobs_told[RF_STAT_QUEUES][RF_STAT_JOBS];
static uint64 all_jobs_told[RF_STAT_JOBS];
static uint64 events_told[RF_STAT_EVENT_KINDS][RF_STAT_EVENTS];
static uint64 rejected_told;

static uint64 grown(uint64 *told, uint64 now);
static void write_jobs(RfStatsd *statsd);
static void write_state(RfStatsd *statsd, const char *queue, int state, uint64 n);
static void write_events(RfStatsd *statsd);
static void write_queues(RfStatsd *statsd);
static void write_circuits(RfStatsd *statsd);
static void write_limits(RfStatsd *statsd);

void
rf_gauges_begin(void)
{
	RfStatQueueView view;
	RfRejection *rejections;
	int64		rejected;
	int			i = 0;

	while (rf_stat_next_queue(MyDatabaseId, &i, &view))
		memcpy(jobs_told[i - 1], view.jobs, sizeof(view.jobs));
	rf_stat_jobs(MyDatabaseId, all_jobs_told);
	rf_stat_events(MyDatabaseId, events_told);
	(void) rf_rejection_list(&rejections, &rejected);
	rejected_told = (uint64) rejected;
}

void
rf_gauges_write_counts(RfStatsd *statsd)
{
	write_jobs(statsd);
	write_events(statsd);
}

void
rf_gauges_write(RfStatsd *statsd, RfDispatcher *d)
{
	rf_statsd_gauge(statsd, "roleferry.worker.heartbeat", 1, NULL);
	rf_statsd_gauge(statsd, "roleferry.worker.active", d->active ? 1 : 0, NULL);
	rf_statsd_gauge(statsd, "roleferry.jobs.in_flight", d->nflights, NULL);
	write_queues(statsd);
	write_circuits(statsd);
	write_limits(statsd);
}

static uint64
grown(uint64 *told, uint64 now)
{
	uint64		by = now >= *told ? now - *told : now;

	*told = now;
	return by;
}

/* Those of queues that found no place are told without one. */
static void
write_jobs(RfStatsd *statsd)
{
	uint64		all[RF_STAT_JOBS];
	uint64		of_queues[RF_STAT_JOBS] = {0};
	RfStatQueueView view;
	int			i = 0;

	rf_stat_jobs(MyDatabaseId, all);
	while (rf_stat_next_queue(MyDatabaseId, &i, &view))
	{
		for (int state = 0; state < RF_STAT_JOBS; state++)
		{
			uint64		n = grown(&jobs_told[i - 1][state], view.jobs[state]);

			of_queues[state] += n;
			write_state(statsd, view.name, state, n);
		}
	}
	for (int state = 0; state < RF_STAT_JOBS; state++)
	{
		uint64		n = grown(&all_jobs_told[state], all[state]);

		write_state(statsd, NULL, state, n > of_queues[state] ? n - of_queues[state] : 0);
	}
}

static void
write_state(RfStatsd *statsd, const char *queue, int state, uint64 n)
{
	RfStatsdTags tags = {""};

	if (n == 0)
		return;
	rf_statsd_tag(&tags, "state", states[state]);
	if (queue != NULL)
		rf_statsd_tag(&tags, "queue", queue);
	rf_statsd_count(statsd, "roleferry.jobs.processed", (int64) n, &tags);
	if (state == RF_STAT_FAILED || state == RF_STAT_UNKNOWN || state == RF_STAT_OTHER)
		rf_statsd_count(statsd, "roleferry.jobs.dead_letters", (int64) n, &tags);
}

static void
write_events(RfStatsd *statsd)
{
	uint64		events[RF_STAT_EVENT_KINDS][RF_STAT_EVENTS];
	RfRejection *rejections;
	int64		rejected;
	uint64		n;

	rf_stat_events(MyDatabaseId, events);
	for (int kind = 0; kind <= RF_EVENT_RESUBSCRIBED; kind++)
		for (int what = 0; what < RF_STAT_EVENTS; what++)
		{
			RfStatsdTags tags = {""};

			n = grown(&events_told[kind][what], events[kind][what]);
			if (n == 0)
				continue;
			rf_statsd_tag(&tags, "type", rf_event_kind_text((RfEventKind) kind));
			rf_statsd_tag(&tags, "result", rf_stat_event_text((RfStatEvent) what));
			rf_statsd_count(statsd, "roleferry.webhook.events", (int64) n, &tags);
		}
	(void) rf_rejection_list(&rejections, &rejected);
	n = grown(&rejected_told, (uint64) rejected);
	if (n > 0)
		rf_statsd_count(statsd, "roleferry.webhook.rejected", (int64) n, NULL);
}

static void
write_queues(RfStatsd *statsd)
{
	RfStatQueueView view;
	int			i = 0;

	while (rf_stat_next_queue(MyDatabaseId, &i, &view))
	{
		const RfQueueDepth *depth = &view.depth;
		RfStatsdTags tags = {""};

		rf_statsd_tag(&tags, "queue", view.name);
		rf_statsd_gauge(statsd, "roleferry.queue.running", view.running, &tags);
		if (depth->at == 0)
			continue;
		rf_statsd_gauge(statsd, "roleferry.queue.ready", depth->ready, &tags);
		rf_statsd_gauge(statsd, "roleferry.queue.scheduled", depth->later, &tags);
		rf_statsd_gauge(statsd, "roleferry.queue.oldest_claimable_seconds",
						depth->oldest == 0 ? 0 : (depth->at - depth->oldest) / USECS_PER_SEC, &tags);
	}
}

/* 0: closed or half-open, 1: open. */
static void
write_circuits(RfStatsd *statsd)
{
	for (int i = 0; rf_roster_at(i) != NULL; i++)
	{
		const RfRosterEntry *entry = rf_roster_at(i);
		RfStatsdTags tags = {""};
		RfGateView	view;

		if (!entry->present)
			continue;
		rf_gate_look(MyDatabaseId, entry->server, false, &view);
		rf_statsd_tag(&tags, "account", entry->name);
		rf_statsd_gauge(statsd, "roleferry.circuit.open", view.state == RF_GATE_OPEN ? 1 : 0, &tags);
	}
}

/* Those of whole accounts; by key there may be thousands. */
static void
write_limits(RfStatsd *statsd)
{
	RfLimitView *views;
	int			nviews = rf_limit_list(MyDatabaseId, &views, rf_gate_now_us());

	for (int i = 0; i < nviews; i++)
	{
		const RfRosterEntry *entry = rf_roster_find_server(views[i].key.server);
		RfStatsdTags tags = {""};
		char		id[32];

		if (entry == NULL || views[i].key.key_hash != 0)
			continue;
		snprintf(id, sizeof(id), INT64_FORMAT, views[i].key.limit_id);
		rf_statsd_tag(&tags, "account", entry->name);
		rf_statsd_tag(&tags, "limit", id);
		rf_statsd_gauge(statsd, "roleferry.limit.remaining", views[i].free, &tags);
	}
}
