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
 *	take hints -> http turn -> land -> settle -> claim -> answer -> start -> wait
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

#include "miscadmin.h"
#include "pgstat.h"
#include "postmaster/bgworker.h"
#include "postmaster/interrupt.h"
#include "storage/fd.h"
#include "storage/ipc.h"
#include "tcop/tcopprot.h"
#include "utils/guc.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

#include "compat.h"
#include "settings.h"
#include "shmem/call.h"
#include "shmem/evict.h"
#include "shmem/executor.h"
#include "shmem/fault.h"
#include "shmem/stat_queue.h"
#include "worker/clock.h"
#include "worker/credits.h"
#include "worker/metrics.h"
#include "worker/notices.h"
#include "worker/order_keys.h"
#include "worker/pool.h"
#include "worker/roster.h"
#include "worker/standby.h"
#include "worker/state.h"
#include "worker/dispatcher.h"

/* Descriptors left to PostgreSQL under RLIMIT_NOFILE. */
#define SPARE_DESCRIPTORS	64

/* Of these, for look-ups and what else libcurl opens, and room: shortage.c. */
#define HTTP_DESCRIPTORS	24

/* How often to look whether a standby has come back. */
#define STANDBY_LOOK_US		INT64CONST(100000)

/* Kept of a mail provider's answer. */
#define MAX_BODY_BYTES		(256 * 1024)

static void start_up(RfDispatcher *d, const char *database);
static void apply_settings(RfDispatcher *d);
static void leave(int code, Datum arg);
static void run_turn(RfDispatcher *d);
static void settle_and_claim(RfDispatcher *d);
static void refuse_calls(RfDispatcher *d);
static void take_hints(RfDispatcher *d);
static void wait_for_something(RfDispatcher *d);
static long wait_length(RfDispatcher *d);

void
rf_dispatcher_main(Datum arg)
{
	static RfDispatcher dispatcher;
	RfDispatcher *d = &dispatcher;
	char		database[NAMEDATALEN];

	RF_FAULT("startup");
	strlcpy(database, MyBgworkerEntry->bgw_extra, sizeof(database));
	pqsignal(SIGHUP, SignalHandlerForConfigReload);
	pqsignal(SIGTERM, SignalHandlerForShutdownRequest);
	pqsignal(SIGINT, StatementCancelHandler);	/* lock_timeout comes by it */
	BackgroundWorkerUnblockSignals();
	start_up(d, database);

	for (;;)
	{
		MemoryContextSwitchTo(d->turn_context);
		MemoryContextReset(d->turn_context);
		RF_FAULT_CHECK_IDLE();
		QueryCancelPending = false; /* there is nothing to cancel here */
		CHECK_FOR_INTERRUPTS();
		if (ConfigReloadPending)
		{
			ConfigReloadPending = false;
			ProcessConfigFile(PGC_SIGHUP);
			apply_settings(d);
		}
		if (ShutdownRequestPending && d->drain_until_us == 0)
			rf_drain_begin(d, rf_shutdown_grace);
		if (rf_evict_asked(MyDatabaseId) && d->drain_until_us == 0)
			rf_drain_begin(d, Min(rf_shutdown_grace, rf_evict_grace_ms(MyDatabaseId)));
		run_turn(d);
		if (d->drain_until_us != 0 &&
			((d->nflights == 0 && rf_staff_is_gone()) || rf_gate_now_us() >= d->drain_until_us))
			rf_drain_end(d);
		wait_for_something(d);
	}
}

static void
start_up(RfDispatcher *d, const char *database)
{
	const char *why;
	RfHttpConfig config;

	rf_session_connect(database);
	pgstat_report_appname(RF_DISPATCHER_TYPE);
	rf_shared_require();

	if (!pg_strong_random(&d->incarnation, sizeof(d->incarnation)))
		ereport(FATAL,
				(errcode(ERRCODE_INTERNAL_ERROR), errmsg("could not get random bytes")));
	d->incarnation = (d->incarnation >> 1) | 1; /* fits a bigint, is never 0 */
	d->slot = rf_shared_register_dispatcher(MyDatabaseId, d->incarnation);
	if (d->slot == NULL)
		ereport(FATAL,
				(errcode(ERRCODE_OBJECT_IN_USE),
				 errmsg("database \"%s\" has a dispatcher already, or too many databases are served", database)));
	before_shmem_exit(leave, PointerGetDatum(d->slot));
	rf_stat_queues_unknown(MyDatabaseId);

	d->turn_context = AllocSetContextCreate(TopMemoryContext, "roleferry turn", ALLOCSET_DEFAULT_SIZES);
	d->flights_context = AllocSetContextCreate(TopMemoryContext, "roleferry flights", ALLOCSET_DEFAULT_SIZES);
	d->claim_context = AllocSetContextCreate(TopMemoryContext, "roleferry claim", ALLOCSET_DEFAULT_SIZES);
	d->settle_context = AllocSetContextCreate(TopMemoryContext, "roleferry settlements", ALLOCSET_DEFAULT_SIZES);
	d->kept_context = AllocSetContextCreate(TopMemoryContext, "roleferry kept people", ALLOCSET_DEFAULT_SIZES);
	dlist_init(&d->asked);
	rf_lanes_init(&d->lanes);

	memset(&config, 0, sizeof(config));
	config.max_connections = rf_max_in_flight;
	config.max_body_bytes = MAX_BODY_BYTES;
	d->engine = rf_http_engine_create(&config, &why);
	if (d->engine == NULL)
		ereport(FATAL,
				(errcode(ERRCODE_INTERNAL_ERROR),
				 errmsg("could not set up HTTP: %s", why)));

	/* Before descriptors are reserved: it is refused when many are. */
	d->wait_set = rf_create_wait_event_set(3);
	AddWaitEventToSet(d->wait_set, WL_LATCH_SET, PGINVALID_SOCKET, MyLatch, NULL);
	AddWaitEventToSet(d->wait_set, WL_EXIT_ON_PM_DEATH, PGINVALID_SOCKET, NULL, NULL);
	AddWaitEventToSet(d->wait_set, WL_SOCKET_READABLE, rf_http_epoll_fd(d->engine), NULL, NULL);
	for (int i = 0; i < HTTP_DESCRIPTORS; i++)
		ReserveExternalFD();
	apply_settings(d);
	ereport(LOG, (errmsg("roleferry dispatcher started for database \"%s\"", database)));
}

/* At start and after a reload: what the engine needs, and how much may fly. */
static void
apply_settings(RfDispatcher *d)
{
	RfHttpConfig config;
	struct rlimit limit;
	int			places = rf_max_in_flight;

	if (getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur != RLIM_INFINITY &&
		(rlim_t) places + rf_max_calls + SPARE_DESCRIPTORS > limit.rlim_cur)
	{
		places = Max((int) limit.rlim_cur - rf_max_calls - SPARE_DESCRIPTORS, 1);
		ereport(LOG,
				(errmsg("roleferry.max_in_flight is %d, but only %d requests can be under way at once",
						rf_max_in_flight, places),
				 errdetail("The limit of open files is %d.", (int) limit.rlim_cur)));
	}
	for (; d->max_flights < places; d->max_flights++)
		ReserveExternalFD();
	for (; d->max_flights > places; d->max_flights--)
		ReleaseExternalFD();

	rf_fleet_make_room(d, places + rf_max_calls);

	memset(&config, 0, sizeof(config));
	config.max_connections = places + rf_max_calls;
	config.connect_timeout_us = (int64) rf_connect_timeout * 1000;
	config.total_timeout_us = (int64) rf_request_timeout * 1000;
	config.idle_timeout_us = (int64) rf_idle_timeout * 1000;
	config.reuse_max_idle_s = rf_reuse_max_idle;
	config.max_body_bytes = MAX_BODY_BYTES;
	config.ca_file = rf_ca_file;
	config.proxy = rf_http_proxy;
	config.allow_insecure_hosts = rf_allow_insecure_hosts;
	config.allow_private_addresses = rf_allow_private_addresses;
	if (!rf_http_configure(d->engine, &config))
		ereport(LOG,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("new HTTP settings could not be applied"),
				 errhint("Check roleferry.allow_private_addresses.")));
	rf_metrics_configure();
	d->look_everywhere = true;
}

/* Exit callback: our jobs belong to the dead from here on. */
static void
leave(int code, Datum arg)
{
	RfDispatcherSlot *slot = (RfDispatcherSlot *) DatumGetPointer(arg);
	uint64		incarnation = slot->incarnation;

	rf_metrics_leave();
	rf_stat_queues_unknown(MyDatabaseId);
	rf_call_leave_all(incarnation);
	rf_shared_unregister_dispatcher(slot);
	rf_executor_abandon(incarnation);

	/* Whoever handed something over in between, and waits for nothing. */
	rf_call_leave_all(incarnation);
}

static void
run_turn(RfDispatcher *d)
{
	take_hints(d);
	rf_http_turn(d->engine, rf_gate_now_us);
	rf_fleet_land_finished(d);
	rf_staff_turn(d);
	rf_clock_follow(d);
	if (d->drain_until_us == 0)
		rf_lookout_run(d);
	rf_questions_serve(d);
	settle_and_claim(d);
	if (d->settlements == NIL)
		rf_credits_flush();
	rf_calls_answer(d);
	rf_questions_serve(d);
	refuse_calls(d);
	rf_fleet_start_claimed(d);
	rf_fleet_land_finished(d);	/* some end in the call that starts them */
	rf_questions_serve(d);
	rf_kept_write(d, false);
	rf_phase_report(d);
	rf_metrics_flush(d);
	rf_notices_flush();
}

static void
settle_and_claim(RfDispatcher *d)
{
	bool		wants_claim;
	bool		settled = false;

	if (rf_gate_now_us() < d->next_write_us || rf_pace_gathers(d))
		return;

	wants_claim = rf_claims_possible(d);
	if (d->settlements != NIL || rf_batches_moved())
	{
		settled = rf_ledger_write(d, wants_claim ? RF_COMMIT_LAZY : RF_COMMIT_FLUSHED);
		if (!settled)
			return;
		rf_fleet_attend(d);
	}
	if (wants_claim)
		rf_claims_run(d, settled);
	else if (d->again != NIL)
	{
		rf_fleet_return_again(d);
		(void) rf_ledger_write(d, RF_COMMIT_FLUSHED);
	}
}

/* Who waits is told at once when nothing can be sent from here. */
static void
refuse_calls(RfDispatcher *d)
{
	if (pg_atomic_read_u32(&d->slot->calls) == 0)
		return;
	if (d->drain_until_us != 0)
		rf_calls_refuse(d, "the dispatcher is stopping",
						"Nothing was recorded, nothing is sent: try again in a moment.");
	else if (rf_lookout_finds_mute(d))
		rf_calls_refuse(d, psprintf("this database is not active: %s", d->activation.why),
						"An operator makes it so: SELECT roleferry.activate().");
}

static void
take_hints(RfDispatcher *d)
{
	RfWakeHint	hints[RF_MAX_WAKE_HINTS];
	bool		everywhere = false;
	int			nhints = rf_pace_wants_hints(d) ? rf_wake_take(d->slot, hints, &everywhere) : 0;

	for (int i = 0; i < nhints; i++)
	{
		if (hints[i].lane < 0)
			rf_order_keys_hint(hints[i].lane, hints[i].run_at);
		else if (!rf_lanes_lower(&d->lanes, hints[i].lane, hints[i].priority, hints[i].run_at, 0))
			everywhere = true;
	}
	d->look_everywhere |= everywhere;
}

static void
wait_for_something(RfDispatcher *d)
{
	WaitEvent	event;
	long		timeout = wait_length(d);

	if (timeout > 0 && rf_pace_lingers(d))
		return;
	if (WaitEventSetWait(d->wait_set, timeout, &event, 1, rf_phase_wait_event(d)) > 0 &&
		(event.events & WL_LATCH_SET))
		ResetLatch(MyLatch);
}

/* Milliseconds until something is due by itself. */
static long
wait_length(RfDispatcher *d)
{
	int64		now = rf_gate_now_us();
	int64		until = Min(rf_http_next_deadline(d->engine), d->next_sweep_us);
	int64		next_write_us = Max(d->next_write_us, d->gather_until_us);

	if (d->settlements != NIL || rf_batches_moved() || d->claims_in_doubt || d->again != NIL)
		until = Min(until, next_write_us);
	until = Min(until, rf_staff_look_at_us());
	if (d->ceiling > 0)
		until = Min(until, d->relax_at_us);
	if (d->drain_until_us != 0)
		until = Min(until, d->drain_until_us);
	else if (rf_claims_allowed(d) && (rf_fleet_free_places(d) > 0 || rf_staff_has_room()))
	{
		TimestampTz wall = GetCurrentTimestamp();
		int64		next = rf_lanes_next_after(&d->lanes, wall);

		if (next != RF_LANES_NEVER && next - wall < RF_MAX_SWEEP_US)
			until = Min(until, now + (next - wall));
		until = Min(until, Max(rf_pace_next_opening(d, wall), now + 1000));
		if (rf_claims_possible(d))
			until = Min(until, next_write_us);
	}
	if (rf_claims_allowed(d))
		until = Min(until, Max(rf_batches_next_due(d), next_write_us));
	if (rf_calls_waiting(d))
		until = Min(until, rf_claims_allowed(d) ? next_write_us : d->next_sweep_us);
	until = Min(until, rf_metrics_due_us());
	until = Min(until, rf_clock_due_us(d));
	if (d->questions != NIL)
		until = Min(until, now + RF_QUESTION_NAP_US);
	if (d->kept != NIL)
		until = Min(until, d->kept_until_us);
	if (rf_standby_is_behind())
		until = Min(until, now + STANDBY_LOOK_US);
	if (d->look_everywhere && d->started_up)
		until = Min(until, Max(d->next_look_us, now));

	/*
	 * Waiting for a lock or a standby resets our latch: ask what it stood
	 * for.
	 */
	if (rf_pace_wants_hints(d) || rf_questions_waiting(d) || ConfigReloadPending ||
		(d->drain_until_us == 0 &&
		 (ShutdownRequestPending || rf_evict_asked(MyDatabaseId))))
		until = now;
	if (until <= now)
		return 0;
	return (long) Min((until - now + 999) / 1000, 60000);
}
