/*-------------------------------------------------------------------------
 *
 * dispatcher.c
 *	  The process that carries a database's jobs to the providers.
 *
 * One loop with one wait point: {latch, postmaster death, libcurl's epoll},
 * until the nearest deadline.  A turn reads what the sockets have, settles
 * what ended, claims as much as can start, and starts it.  No transaction,
 * snapshot or lock is held while the loop waits.
 *
 *	take hints -> http turn -> land -> settle -> claim -> start -> wait
 *
 * What a turn writes goes in at most two transactions: the settlements,
 * committed lazily when a flushed claim follows in the same turn, and the
 * claims.  A settlement that cannot be written now is kept and tried again,
 * and nothing is claimed before that succeeded: an outcome is never dropped
 * and a mail never sent again because of it.
 *
 * IDENTIFICATION
 *	  src/worker/dispatcher.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <limits.h>
#include <sys/resource.h>

#include "access/xact.h"
#include "access/xlog.h"
#include "miscadmin.h"
#include "pgstat.h"
#include "postmaster/bgworker.h"
#include "postmaster/interrupt.h"
#include "storage/fd.h"
#include "storage/ipc.h"
#include "storage/latch.h"
#include "tcop/tcopprot.h"
#include "utils/guc.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

#include "compat.h"
#include "core/lanes.h"
#include "outbox/activation.h"
#include "outbox/job.h"
#include "outbox/retention.h"
#include "outbox/sweep.h"
#include "settings.h"
#include "shmem/fault.h"
#include "shmem/wake.h"
#include "worker/dispatcher.h"
#include "worker/flight.h"
#include "worker/session.h"

#define RETRY_WRITE_US		INT64CONST(1000000)
#define MISSING_NAP_US		INT64CONST(1000000)
#define SWEEP_COST_FACTOR	50	/* a sweep takes at most this part of the time */
#define MAX_SWEEP_US		INT64CONST(30000000)
#define HOUSEKEEPING_US		INT64CONST(60000000)
#define SPARE_DESCRIPTORS	64	/* left to PostgreSQL under RLIMIT_NOFILE */
#define MAX_BODY_BYTES		(256 * 1024)	/* kept of a mail provider's answer */
#define CLAIM_STRANDS_MAX	64	/* strands served by one claim transaction */

static RfDispatcherSlot *slot;
static uint64 incarnation;
static RfHttpEngine *engine;
static WaitEventSet *wait_set;
static RfLanes lanes;
static MemoryContext turn_context;	/* reset once a turn */
static MemoryContext flights_context;	/* parent of each flight's own */
static MemoryContext settle_context;	/* reset when written */

static RfFlight **flights;		/* under way, dense */
static int	nflights = 0;
static int	max_flights = 0;
static List *settlements = NIL; /* of RfSettlement, in settle_context */
static List *again = NIL;		/* of RfFlight: to be claimed for the next account */
static List *starting = NIL;	/* of RfFlight: claimed, about to start */
static bool claims_in_doubt = false;	/* a claim failed: it may have been committed */
static bool alone = false;		/* the job under way was marked by a crash */

static bool active = false;
static char installation[RF_INSTALLATION_MAX];
static int	attempt_table = 0;

static int64 next_sweep_us = 0;
static int64 next_housekeeping_us = 0;
static int64 next_write_us = 0; /* after a failed write */
static int64 drain_until_us = 0;	/* 0: not draining */
static bool look_everywhere = true;
static bool started_up = false; /* orphans were dealt with */

static void start_up(const char *database);
static void apply_settings(void);
static void leave(int code, Datum arg);
static void run_turn(void);
static void wait_for_something(void);
static long wait_length(void);
static void take_hints(void);
static void land_finished(void);
static void land(RfFlight *flight);
static void keep_settlement(const RfSettlement *settlement, RfFlight *flight);
static void settle_and_claim(void);
static bool write_settlements(RfCommit commit);
static void lower_marks(void);
static void settle_work(void *arg);
static bool may_claim(void);
static void claim(bool settled_lazily);
static void claim_work(void *arg);
static void claim_again(void);
static void take_again(void);
static void claim_strand(RfStrand *strand, int room);
static void return_again(void);
static bool strand_is_open(int route, void *context);
static void start_claimed(void);
static void add_flight(RfFlight *flight);
static void remove_flight(RfFlight *flight);
static void look_around(void);
static void start_work(void *arg);
static void settle_orphans(void);
static void sweep_work(void *arg);
static void remember_route(RfStrand *strand, List *accounts, void *context);
static void housekeeping_work(void *arg);
static void begin_drain(void);
static void end_drain(void);
static int	free_places(void);
static void report_activity(void);

void
rf_dispatcher_main(Datum arg)
{
	char		database[NAMEDATALEN];

	RF_FAULT("startup");
	strlcpy(database, MyBgworkerEntry->bgw_extra, sizeof(database));
	pqsignal(SIGHUP, SignalHandlerForConfigReload);
	pqsignal(SIGTERM, SignalHandlerForShutdownRequest);
	pqsignal(SIGINT, StatementCancelHandler);	/* lock_timeout comes by it */
	BackgroundWorkerUnblockSignals();
	start_up(database);

	for (;;)
	{
		MemoryContextSwitchTo(turn_context);
		MemoryContextReset(turn_context);
		QueryCancelPending = false; /* there is nothing to cancel here */
		CHECK_FOR_INTERRUPTS();
		if (ConfigReloadPending)
		{
			ConfigReloadPending = false;
			ProcessConfigFile(PGC_SIGHUP);
			apply_settings();
		}
		if (ShutdownRequestPending && drain_until_us == 0)
			begin_drain();
		run_turn();
		if (drain_until_us != 0 &&
			(nflights == 0 || rf_gate_now_us() >= drain_until_us))
			end_drain();
		wait_for_something();
	}
}

static void
start_up(const char *database)
{
	const char *why;
	RfHttpConfig config;

	rf_session_connect(database);
	pgstat_report_appname(RF_DISPATCHER_TYPE);
	rf_shared_require();

	if (!pg_strong_random(&incarnation, sizeof(incarnation)))
		ereport(FATAL,
				(errcode(ERRCODE_INTERNAL_ERROR), errmsg("could not get random bytes")));
	incarnation = (incarnation >> 1) | 1;	/* fits a bigint, is never 0 */
	slot = rf_shared_register_dispatcher(MyDatabaseId, incarnation);
	if (slot == NULL)
		ereport(FATAL,
				(errcode(ERRCODE_OBJECT_IN_USE),
				 errmsg("database \"%s\" has a dispatcher already, or too many databases are served", database)));
	before_shmem_exit(leave, (Datum) 0);

	turn_context = AllocSetContextCreate(TopMemoryContext, "roleferry turn", ALLOCSET_DEFAULT_SIZES);
	flights_context = AllocSetContextCreate(TopMemoryContext, "roleferry flights", ALLOCSET_DEFAULT_SIZES);
	settle_context = AllocSetContextCreate(TopMemoryContext, "roleferry settlements", ALLOCSET_DEFAULT_SIZES);
	rf_lanes_init(&lanes);

	memset(&config, 0, sizeof(config));
	config.max_connections = rf_max_in_flight;
	config.max_body_bytes = MAX_BODY_BYTES;
	engine = rf_http_engine_create(&config, &why);
	if (engine == NULL)
		ereport(FATAL,
				(errcode(ERRCODE_INTERNAL_ERROR),
				 errmsg("could not set up HTTP: %s", why)));
	apply_settings();

	wait_set = rf_create_wait_event_set(3);
	AddWaitEventToSet(wait_set, WL_LATCH_SET, PGINVALID_SOCKET, MyLatch, NULL);
	AddWaitEventToSet(wait_set, WL_EXIT_ON_PM_DEATH, PGINVALID_SOCKET, NULL, NULL);
	AddWaitEventToSet(wait_set, WL_SOCKET_READABLE, rf_http_epoll_fd(engine), NULL, NULL);
	ereport(LOG, (errmsg("roleferry dispatcher started for database \"%s\"", database)));
}

/* At start and after a reload: what the engine needs, and how much may fly. */
static void
apply_settings(void)
{
	RfHttpConfig config;
	struct rlimit limit;
	int			places = rf_max_in_flight;

	if (getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur != RLIM_INFINITY &&
		(rlim_t) places + SPARE_DESCRIPTORS > limit.rlim_cur)
	{
		places = Max((int) limit.rlim_cur - SPARE_DESCRIPTORS, 1);
		ereport(LOG,
				(errmsg("roleferry.max_in_flight is %d, but only %d requests can be under way at once",
						rf_max_in_flight, places),
				 errdetail("The limit of open files is %d.", (int) limit.rlim_cur)));
	}
	for (; max_flights < places; max_flights++)
		ReserveExternalFD();
	for (; max_flights > places; max_flights--)
		ReleaseExternalFD();
	flights = flights ? repalloc(flights, sizeof(RfFlight *) * Max(places, nflights)) :
		MemoryContextAlloc(TopMemoryContext, sizeof(RfFlight *) * places);

	memset(&config, 0, sizeof(config));
	config.max_connections = places;
	config.connect_timeout_us = (int64) rf_connect_timeout * 1000;
	config.total_timeout_us = (int64) rf_request_timeout * 1000;
	config.idle_timeout_us = (int64) rf_idle_timeout * 1000;
	config.reuse_max_idle_s = rf_reuse_max_idle;
	config.max_body_bytes = MAX_BODY_BYTES;
	config.ca_file = rf_ca_file;
	config.proxy = rf_http_proxy;
	config.allow_insecure_hosts = rf_allow_insecure_hosts;
	config.allow_private_addresses = rf_allow_private_addresses;
	if (!rf_http_configure(engine, &config))
		ereport(LOG,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("new HTTP settings could not be applied"),
				 errhint("Check roleferry.allow_private_addresses.")));
	look_everywhere = true;
}

/* Exit callback: our jobs belong to the dead from here on. */
static void
leave(int code, Datum arg)
{
	rf_shared_unregister_dispatcher(slot);
}

static void
run_turn(void)
{
	take_hints();
	rf_http_turn(engine, rf_gate_now_us);
	land_finished();
	if (drain_until_us == 0)
		look_around();
	settle_and_claim();
	start_claimed();
	land_finished();			/* some end in the call that starts them */
	report_activity();
}

static void
wait_for_something(void)
{
	static uint32 wait_event = 0;
	WaitEvent	event;
	long		timeout = wait_length();

	if (wait_event == 0)
		wait_event = rf_wait_event_new("RoleferryDispatcher");
	if (WaitEventSetWait(wait_set, timeout, &event, 1, wait_event) > 0 &&
		(event.events & WL_LATCH_SET))
		ResetLatch(MyLatch);
}

/* Milliseconds until something is due by itself. */
static long
wait_length(void)
{
	int64		now = rf_gate_now_us();
	int64		until = Min(rf_http_next_deadline(engine), next_sweep_us);
	int64		opens_at;

	if (settlements != NIL || claims_in_doubt || again != NIL)
		until = Min(until, next_write_us);
	if (drain_until_us != 0)
		until = Min(until, drain_until_us);
	else if (active && free_places() > 0)
	{
		TimestampTz wall = GetCurrentTimestamp();
		int64		next = rf_lanes_next_after(&lanes, wall);

		if (next != RF_LANES_NEVER && next - wall < MAX_SWEEP_US)
			until = Min(until, now + (next - wall));
		for (size_t i = 0; i < lanes.nstrands; i++)
		{
			if (lanes.strands[i].run_at > wall)
				continue;
			if (rf_roster_route_capacity(lanes.strands[i].route, engine, now, &opens_at) == 0 &&
				opens_at > 0)
				until = Min(until, Max(opens_at, now + 1000));
		}
		if (may_claim())
			until = Min(until, next_write_us);
	}
	if (look_everywhere && started_up)
		until = now;
	if (until <= now)
		return 0;
	return (long) Min((until - now + 999) / 1000, 60000);
}

static void
take_hints(void)
{
	RfWakeHint	hints[RF_MAX_WAKE_HINTS];
	bool		everywhere;
	int			nhints = rf_wake_take(slot, hints, &everywhere);

	for (int i = 0; i < nhints; i++)
	{
		if (!rf_lanes_lower(&lanes, hints[i].lane, hints[i].priority, hints[i].run_at, 0))
			everywhere = true;
	}
	look_everywhere |= everywhere;
}

static void
land_finished(void)
{
	RfTransfer *transfer;

	while ((transfer = rf_http_next_finished(engine)) != NULL)
		land((RfFlight *) transfer->owner);
}

static void
land(RfFlight *flight)
{
	RfSettlement settlement;
	bool		goes_on;

	remove_flight(flight);
	goes_on = rf_flight_land(flight, engine, drain_until_us != 0, &settlement);
	keep_settlement(&settlement, flight);
	if (goes_on)
	{
		MemoryContext old = MemoryContextSwitchTo(flights_context);

		again = lappend(again, flight);
		MemoryContextSwitchTo(old);
	}
	else
		rf_flight_free(flight);
}

/* Remember it until it is written. */
static void
keep_settlement(const RfSettlement *settlement, RfFlight *flight)
{
	MemoryContext old = MemoryContextSwitchTo(settle_context);
	RfSettlement *copy = palloc(sizeof(RfSettlement));

	*copy = *settlement;
	if (copy->account != NULL)
		copy->account = pstrdup(copy->account);
	if (copy->excerpt_len > 0)
	{
		copy->excerpt = palloc(copy->excerpt_len);
		memcpy(copy->excerpt, settlement->excerpt, copy->excerpt_len);
	}
	copy->lane = flight->job->lane;
	copy->priority = flight->job->priority;
	settlements = lappend(settlements, copy);
	MemoryContextSwitchTo(old);
}

static void
settle_and_claim(void)
{
	bool		wants_claim;
	bool		settled = false;

	if (rf_gate_now_us() < next_write_us)
		return;

	wants_claim = may_claim();
	if (settlements != NIL)
	{
		settled = write_settlements(wants_claim ? RF_COMMIT_LAZY : RF_COMMIT_FLUSHED);
		if (!settled)
			return;
	}
	if (wants_claim)
		claim(settled);
	else if (again != NIL)
	{
		return_again();
		(void) write_settlements(RF_COMMIT_FLUSHED);
	}
}

static bool
write_settlements(RfCommit commit)
{
	bool		missing;

	RF_FAULT("before_record");
	if (!rf_session_run(settle_work, NULL, commit, "settling jobs", &missing))
	{
		next_write_us = rf_gate_now_us() + RETRY_WRITE_US;
		return false;
	}
	RF_FAULT("after_record");
	lower_marks();
	settlements = NIL;
	MemoryContextReset(settle_context);
	return true;
}

/*
 * What waits again can be claimed from here on.  Not earlier: a sweep in
 * between would not have seen it, and would have set its strand's mark past it.
 */
static void
lower_marks(void)
{
	ListCell   *lc;

	foreach(lc, settlements)
	{
		const RfSettlement *s = lfirst(lc);

		if (s->kind != RF_SETTLE_WAIT && s->kind != RF_SETTLE_GIVE_BACK)
			continue;
		if (!rf_lanes_lower(&lanes, s->lane, s->priority, s->run_at, s->job_id))
			look_everywhere = true;
	}
}

static void
settle_work(void *arg)
{
	rf_settle_write((int64) incarnation, settlements, attempt_table);
}

static bool
may_claim(void)
{
	RfStrand   *strand;

	if (drain_until_us != 0 || !started_up || !active)
		return false;
	if (again != NIL || claims_in_doubt)
		return true;
	if (free_places() == 0 || alone)
		return false;
	strand = rf_lanes_pick(&lanes, GetCurrentTimestamp(), strand_is_open, NULL);
	return strand != NULL && (strand->lane != RF_LANE_ALONE || nflights == 0);
}

static void
claim(bool settled_lazily)
{
	XLogRecPtr	settled_end = XactLastCommitEnd;
	bool		was_in_doubt = claims_in_doubt;
	bool		missing;

	RF_FAULT("before_claim");
	if (!rf_session_run(claim_work, NULL, RF_COMMIT_CLAIM, "claiming jobs", &missing))
	{
		/* Whether it was committed is not known: ask before anything else. */
		ListCell   *lc;

		foreach(lc, starting)
			rf_flight_free(lfirst(lc));
		starting = NIL;
		claims_in_doubt = true;
		look_everywhere = true;
		next_write_us = rf_gate_now_us() + RETRY_WRITE_US;
	}
	else
	{
		RF_FAULT("after_claim_commit");
		if (was_in_doubt)
			claims_in_doubt = false;
		else if (active)
			take_again();
	}
	if (settled_lazily && starting == NIL)
		XLogFlush(settled_end);
}

static void
claim_work(void *arg)
{
	RfActivationState state = rf_activation_read(installation);
	TimestampTz now = GetCurrentTimestamp();
	int			served = 0;

	active = state == RF_ACTIVATION_ACTIVE;
	if (claims_in_doubt)
	{
		int64	   *in_hand = palloc((nflights + list_length(again) + 1) * sizeof(int64));
		int			nin_hand = 0;
		ListCell   *lc;

		for (int i = 0; i < nflights; i++)
			in_hand[nin_hand++] = flights[i]->job->id;
		foreach(lc, again)
			in_hand[nin_hand++] = ((RfFlight *) lfirst(lc))->job->id;
		(void) rf_claim_give_back_unknown((int64) incarnation, in_hand, nin_hand);
		return;					/* claim when that is committed */
	}
	if (!active)
		return;
	rf_roster_refresh();
	if (again != NIL)
		claim_again();

	/* Those that go on have their places already: free_places() knows. */
	while (free_places() - list_length(starting) > 0 && served++ < CLAIM_STRANDS_MAX && !alone)
	{
		RfStrand   *strand = rf_lanes_pick(&lanes, now, strand_is_open, NULL);
		int64		opens_at;
		int			room;

		if (strand == NULL)
			break;
		if (strand->lane == RF_LANE_ALONE && (nflights > 0 || again != NIL || starting != NIL))
			break;				/* when everything else has landed */
		rf_lanes_served(&lanes, strand);
		if (strand->route < 0)
			remember_route(strand, rf_sweep_first_accounts(strand), NULL);
		room = rf_roster_route_capacity(strand->route, engine, rf_gate_now_us(), &opens_at);
		room = Min(room, free_places() - list_length(starting));
		if (room > 0)
			claim_strand(strand, room);
	}
	RF_FAULT("before_claim_commit");
}

/* Jobs that go on to their next account: one more attempt each, durably. */
static void
claim_again(void)
{
	int			count = list_length(again);
	int64	   *ids = palloc(count * sizeof(int64));
	int64	   *ours = palloc(count * sizeof(int64));
	int			nours;
	ListCell   *lc;
	int			i = 0;

	foreach(lc, again)
		ids[i++] = ((RfFlight *) lfirst(lc))->job->id;
	nours = rf_claim_again((int64) incarnation, ids, count, ours);

	foreach(lc, again)
	{
		RfFlight   *flight = lfirst(lc);

		flight->claimed_again = false;
		for (i = 0; i < nours && !flight->claimed_again; i++)
			flight->claimed_again = ours[i] == flight->job->id;
	}
}

/* The claim is durable: they may start; what is no longer ours is let go. */
static void
take_again(void)
{
	MemoryContext old = MemoryContextSwitchTo(flights_context);
	ListCell   *lc;

	foreach(lc, again)
	{
		RfFlight   *flight = lfirst(lc);

		if (!flight->claimed_again)
		{
			rf_flight_free(flight);
			continue;
		}
		flight->job->attempts++;
		starting = lappend(starting, flight);
	}
	list_free(again);
	again = NIL;
	MemoryContextSwitchTo(old);
}

static void
claim_strand(RfStrand *strand, int room)
{
	TimestampTz now = GetCurrentTimestamp();
	bool		lonely = strand->lane == RF_LANE_ALONE;
	List	   *jobs = rf_claim_jobs((int64) incarnation, strand, lonely ? 1 : room,
									 now, flights_context);
	ListCell   *lc;

	foreach(lc, jobs)
	{
		RfFlight   *flight = rf_flight_create(lfirst(lc));
		MemoryContext old = MemoryContextSwitchTo(flights_context);

		starting = lappend(starting, flight);
		MemoryContextSwitchTo(old);
		alone |= lonely;
	}
	rf_roster_reserve(strand->route, list_length(jobs), engine, rf_gate_now_us());
	list_free(jobs);
}

/* No further claim is possible: what wanted its next account waits instead. */
static void
return_again(void)
{
	ListCell   *lc;

	foreach(lc, again)
	{
		RfFlight   *flight = lfirst(lc);
		RfSettlement settlement;

		rf_flight_return(flight, &settlement);
		keep_settlement(&settlement, flight);
		rf_flight_free(flight);
	}
	again = NIL;
}

static bool
strand_is_open(int route, void *context)
{
	int64		opens_at;

	return rf_roster_route_capacity(route, engine, rf_gate_now_us(), &opens_at) > 0;
}

static void
start_claimed(void)
{
	List	   *claimed = starting;
	ListCell   *lc;

	starting = NIL;
	rf_roster_release_all();
	foreach(lc, claimed)
	{
		RfFlight   *flight = lfirst(lc);
		RfSettlement settlement;

		switch (rf_flight_start(flight, engine, installation, &settlement))
		{
			case RF_START_FLYING:
				add_flight(flight);
				break;
			case RF_START_FINISHED:
				add_flight(flight);
				land(flight);
				break;
			case RF_START_CANNOT:
			case RF_START_DEAD:
				keep_settlement(&settlement, flight);
				rf_flight_free(flight);
				break;
		}
	}
	list_free(claimed);
	if (nflights == 0)
		alone = false;
}

static void
add_flight(RfFlight *flight)
{
	flight->slot = nflights;
	flights[nflights++] = flight;
}

static void
remove_flight(RfFlight *flight)
{
	RfFlight   *last = flights[--nflights];

	flights[flight->slot] = last;
	last->slot = flight->slot;
	if (nflights == 0)
		alone = false;
}

/* Sweeps and housekeeping, each when it is due. */
static void
look_around(void)
{
	int64		now = rf_gate_now_us();
	int64		cost;
	bool		missing = false;

	if (!look_everywhere && now < next_sweep_us)
		return;
	if (!started_up)
	{
		started_up = rf_session_run(start_work, NULL, RF_COMMIT_FLUSHED,
									"settling the jobs of a dead dispatcher", &missing);
		if (!started_up)
		{
			next_sweep_us = now + MISSING_NAP_US;
			return;
		}
	}

	look_everywhere = false;
	if (!rf_session_run(sweep_work, NULL, RF_COMMIT_LAZY, "looking for jobs", &missing))
	{
		active = false;
		next_sweep_us = now + MISSING_NAP_US;
		return;
	}
	cost = rf_gate_now_us() - now;
	next_sweep_us = now + Max((int64) rf_sweep_interval * 1000,
							  Min(cost * SWEEP_COST_FACTOR, MAX_SWEEP_US));

	if (now >= next_housekeeping_us)
	{
		(void) rf_session_run(housekeeping_work, NULL, RF_COMMIT_LAZY, "tidying up", &missing);
		next_housekeeping_us = now + HOUSEKEEPING_US;
	}
}

/* Once, before anything is claimed. */
static void
start_work(void *arg)
{
	attempt_table = rf_retention_attempt_table();
	settle_orphans();
}

static void
settle_orphans(void)
{
	RfOrphans	orphans;

	rf_sweep_orphans(&orphans);
	if (orphans.unknown + orphans.waiting + orphans.quarantined > 0)
		ereport(LOG,
				(errmsg("jobs of a dead dispatcher: " UINT64_FORMAT " unknown, " UINT64_FORMAT " to be sent again, " UINT64_FORMAT " quarantined",
						orphans.unknown, orphans.waiting, orphans.quarantined)));
}

static void
sweep_work(void *arg)
{
	bool		was_active = active;

	active = rf_activation_read(installation) == RF_ACTIVATION_ACTIVE;
	/* An outbox that was restored under our eyes holds jobs of another life. */
	if (active && !was_active)
		settle_orphans();
	rf_roster_refresh();
	(void) rf_sweep_expired();
	look_everywhere |= rf_sweep_unchecked();
	CommandCounterIncrement();
	rf_sweep_strands(&lanes, remember_route, NULL);
}

/* Jobs of the lane of crash-marked ones have nothing else in common. */
static void
remember_route(RfStrand *strand, List *accounts, void *context)
{
	if (strand->lane != RF_LANE_ALONE)
		strand->route = rf_roster_route(accounts);
}

static void
housekeeping_work(void *arg)
{
	rf_retention_rotate_attempts();
	attempt_table = rf_retention_attempt_table();
	(void) rf_retention_purge();
}

static void
begin_drain(void)
{
	drain_until_us = rf_gate_now_us() + (int64) rf_shutdown_grace * 1000;
	if (nflights > 0)
		ereport(LOG,
				(errmsg("roleferry dispatcher is stopping: waiting for %d answers", nflights)));
}

/* What has no answer by now gets none: settle by what left, and go. */
static void
end_drain(void)
{
	while (nflights > 0)
	{
		RfFlight   *flight = flights[nflights - 1];

		rf_http_abort(engine, &flight->transfer, "the server is shutting down",
					  rf_gate_now_us());
		land_finished();
	}
	if (again != NIL)
		return_again();
	if (settlements != NIL)
		(void) write_settlements(RF_COMMIT_FLUSHED);
	proc_exit(0);
}

static int
free_places(void)
{
	return Max(max_flights - nflights - list_length(again), 0);
}

/* What pg_stat_activity shows. */
static void
report_activity(void)
{
	char		activity[64];

	if (!active)
		pgstat_report_activity(STATE_IDLE, "not active: see roleferry.activate()");
	else if (nflights == 0)
		pgstat_report_activity(STATE_IDLE, "waiting for jobs");
	else
	{
		snprintf(activity, sizeof(activity), "%d requests under way", nflights);
		pgstat_report_activity(STATE_RUNNING, activity);
	}
}
