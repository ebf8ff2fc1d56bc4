/*-------------------------------------------------------------------------
 *
 * launcher.c
 *	  Keeps a dispatcher running for each database of roleferry.databases.
 *
 * A static background worker connected to no database.  Dispatchers are
 * dynamic workers that are never restarted by the postmaster: this process is
 * their only supervisor.  A dispatcher that keeps failing is started less and
 * less often (1 s to 60 s); one that ran for a minute starts afresh.  Where
 * none can be started, pg_stat_activity says why for as long as it lasts, the
 * log once, and never more than a line a minute over all databases.
 *
 * A launcher that follows another finds its predecessor's dispatchers in
 * shared memory: it has no handle for them, lets them work, and looks after
 * them once a second.
 *
 * IDENTIFICATION
 *	  src/worker/launcher.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/heapam.h"
#include "access/table.h"
#include "access/tableam.h"
#include "access/xact.h"
#include "catalog/pg_database.h"
#include "miscadmin.h"
#include "pgstat.h"
#include "postmaster/bgworker.h"
#include "postmaster/interrupt.h"
#include "storage/ipc.h"
#include "storage/latch.h"
#include "utils/guc.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"

#include "compat.h"
#include "settings.h"
#include "shmem/evict.h"
#include "shmem/shared.h"
#include "worker/charge.h"
#include "worker/dispatcher.h"
#include "worker/launcher.h"

#define LAUNCHER_TYPE		"roleferry launcher"
#define MAX_BACKOFF_US		INT64CONST(60000000)
#define NAP_MS				60000L

/* What ran this long starts afresh, without backoff. */
#define STEADY_US			INT64CONST(60000000)

/*
 * No such database, no slot: asking costs nothing.  And a database that
 * somebody has for himself.
 */
#define LOOK_AGAIN_US		INT64CONST(1000000)
#define EVICTED_NAP_US		INT64CONST(200000)

/* Starts that failed in a row to be worth a word. */
#define KEEPS_ENDING_US		(8 * RF_FIRST_BACKOFF_US)

static MemoryContext launcher_context;

static void leave(int code, Datum arg);
static void stop_strangers(void);
static void supervise(RfCharge *charge, int64 now);
static void bury(RfCharge *charge, int64 now);
static void employ(RfCharge *charge, int64 now);
static bool look_up(RfCharge *charge);
static bool is_served(const RfCharge *charge);
static void start_dispatcher(RfCharge *charge, int64 now);
static long nap_length(int64 now);

void
rf_launcher_register(void)
{
	BackgroundWorker worker;

	memset(&worker, 0, sizeof(worker));
	worker.bgw_flags = BGWORKER_SHMEM_ACCESS | BGWORKER_BACKEND_DATABASE_CONNECTION;
	worker.bgw_start_time = BgWorkerStart_RecoveryFinished;
	worker.bgw_restart_time = 5;
	strlcpy(worker.bgw_library_name, RF_LIBRARY, sizeof(worker.bgw_library_name));
	strlcpy(worker.bgw_function_name, CppAsString(rf_launcher_main),
			sizeof(worker.bgw_function_name));
	strlcpy(worker.bgw_name, LAUNCHER_TYPE, sizeof(worker.bgw_name));
	strlcpy(worker.bgw_type, LAUNCHER_TYPE, sizeof(worker.bgw_type));
	RegisterBackgroundWorker(&worker);
}

void
rf_launcher_main(Datum arg)
{
	pqsignal(SIGHUP, SignalHandlerForConfigReload);
	pqsignal(SIGTERM, SignalHandlerForShutdownRequest);
	pqsignal(SIGINT, SIG_IGN);
	BackgroundWorkerUnblockSignals();
	BackgroundWorkerInitializeConnection(NULL, NULL, 0);
	pgstat_report_appname(LAUNCHER_TYPE);

	launcher_context = AllocSetContextCreate(TopMemoryContext, "roleferry launcher",
											 ALLOCSET_DEFAULT_SIZES);
	MemoryContextSwitchTo(launcher_context);
	rf_charges_read();
	rf_pulse_begin(&rf_shared->launcher);
	before_shmem_exit(leave, (Datum) 0);
	stop_strangers();

	while (!ShutdownRequestPending)
	{
		int64		now = rf_gate_now_us();

		for (int i = 0; i < RF_MAX_DISPATCHERS; i++)
			if (rf_charges[i].database[0] != '\0')
				supervise(&rf_charges[i], now);

		rf_charges_complain(now);
		rf_charges_report();
		rf_pulse_beat(&rf_shared->launcher, RF_PULSE_IDLE, 0);
		(void) WaitLatch(MyLatch, WL_LATCH_SET | WL_TIMEOUT | WL_EXIT_ON_PM_DEATH,
						 nap_length(now), rf_wait_event_new("RoleferryLauncher"));
		ResetLatch(MyLatch);
		CHECK_FOR_INTERRUPTS();
		if (ConfigReloadPending)
		{
			ConfigReloadPending = false;
			ProcessConfigFile(PGC_SIGHUP);
			rf_charges_read();
		}
	}

	/* Not 0: a launcher that somebody has terminated is to come back. */
	proc_exit(1);
}

/* Exit callback. */
static void
leave(int code, Datum arg)
{
	rf_pulse_end(&rf_shared->launcher);
}

/* Dispatchers of another launcher whose databases are no longer listed. */
static void
stop_strangers(void)
{
	for (int i = 0; i < RF_MAX_DISPATCHERS; i++)
	{
		Oid			database = rf_shared->dispatchers[i].database;
		bool		listed = false;

		if (!OidIsValid(database))
			continue;
		for (int j = 0; j < RF_MAX_DISPATCHERS && !listed; j++)
			listed = rf_charges[j].database[0] != '\0' && look_up(&rf_charges[j]) &&
				rf_charges[j].oid == database;
		if (!listed)
			(void) rf_shared_stop_dispatcher(database);
	}
}

static void
supervise(RfCharge *charge, int64 now)
{
	pid_t		pid;
	bool		running = is_served(charge);

	if (charge->handle != NULL)
	{
		if (running)
			rf_charge_set_trouble(charge, "%s", "");
		if (GetBackgroundWorkerPid(charge->handle, &pid) != BGWH_STOPPED)
			running = true;
		else
			bury(charge, now);
	}

	if (!charge->wanted)
	{
		charge->dismissed = charge->handle != NULL;
		if (charge->handle != NULL)
			TerminateBackgroundWorker(charge->handle);
		else if (!running || !rf_shared_stop_dispatcher(charge->oid))
			charge->database[0] = '\0';
		return;
	}
	if (charge->handle == NULL && now >= charge->start_at_us)
		employ(charge, now);
}

/* It ended: start another at once, or later the sooner this one has ended. */
static void
bury(RfCharge *charge, int64 now)
{
	bool		blameless = now - charge->started_us >= STEADY_US ||
		charge->dismissed || rf_evict_asked_since(charge->oid, charge->started_us);

	charge->dismissed = false;
	pfree(charge->handle);
	charge->handle = NULL;
	if (blameless)
	{
		charge->backoff_us = RF_FIRST_BACKOFF_US;
		charge->start_at_us = now;
	}
	else
	{
		charge->backoff_us = Min(charge->backoff_us * 2, MAX_BACKOFF_US);
		charge->start_at_us = Max(now, charge->started_us + charge->backoff_us / 2);
		if (charge->backoff_us >= KEEPS_ENDING_US)
			rf_charge_set_trouble(charge, "it ends soon after each start, as the server's log tells; tried again after %d s",
								  (int) (charge->backoff_us / 2000000));
	}

	/* There is a free slot now. */
	for (int i = 0; i < RF_MAX_DISPATCHERS; i++)
		if (rf_charges[i].no_slot)
			rf_charges[i].start_at_us = now;
}

/* Start a dispatcher, unless there is a reason not to. */
static void
employ(RfCharge *charge, int64 now)
{
	charge->start_at_us = now + LOOK_AGAIN_US;
	if (!look_up(charge))
		return;
	if (is_served(charge))
		rf_charge_set_trouble(charge, "%s", "");	/* by one of another
													 * launcher */
	else if (rf_evict_asked(charge->oid))
		charge->start_at_us = now + EVICTED_NAP_US;
	else
		start_dispatcher(charge, now);
}

/*
 * Is there such a database, and does it let anybody in?  A process without a
 * database of its own may have no index to ask: the table is read through.
 */
static bool
look_up(RfCharge *charge)
{
	Relation	catalog;
	TableScanDesc scan;
	HeapTuple	tuple;
	bool		open = false;

	StartTransactionCommand();
	(void) GetTransactionSnapshot();
	charge->oid = InvalidOid;
	catalog = table_open(DatabaseRelationId, AccessShareLock);
	scan = table_beginscan_catalog(catalog, 0, NULL);
	while (HeapTupleIsValid(tuple = heap_getnext(scan, ForwardScanDirection)))
	{
		Form_pg_database database = (Form_pg_database) GETSTRUCT(tuple);

		if (strcmp(NameStr(database->datname), charge->database) != 0)
			continue;
		charge->oid = database->oid;
		open = database->datallowconn;
		break;
	}
	table_endscan(scan);
	table_close(catalog, AccessShareLock);
	CommitTransactionCommand();
	MemoryContextSwitchTo(launcher_context);

	if (!OidIsValid(charge->oid))
		rf_charge_set_trouble(charge, "there is no such database");
	else if (!open)
		rf_charge_set_trouble(charge, "the database allows no connections");
	return open;
}

static bool
is_served(const RfCharge *charge)
{
	return OidIsValid(charge->oid) && rf_shared_find_dispatcher(charge->oid) != NULL;
}

static void
start_dispatcher(RfCharge *charge, int64 now)
{
	BackgroundWorker worker;

	memset(&worker, 0, sizeof(worker));
	worker.bgw_flags = BGWORKER_SHMEM_ACCESS | BGWORKER_BACKEND_DATABASE_CONNECTION;
	worker.bgw_start_time = BgWorkerStart_RecoveryFinished;
	worker.bgw_restart_time = BGW_NEVER_RESTART;
	worker.bgw_notify_pid = MyProcPid;
	strlcpy(worker.bgw_library_name, RF_LIBRARY, sizeof(worker.bgw_library_name));
	strlcpy(worker.bgw_function_name, CppAsString(rf_dispatcher_main),
			sizeof(worker.bgw_function_name));
	snprintf(worker.bgw_name, sizeof(worker.bgw_name), RF_DISPATCHER_TYPE " %s", charge->database);
	strlcpy(worker.bgw_type, RF_DISPATCHER_TYPE, sizeof(worker.bgw_type));
	strlcpy(worker.bgw_extra, charge->database, sizeof(worker.bgw_extra));

	charge->started_us = now;
	charge->no_slot = !RegisterDynamicBackgroundWorker(&worker, &charge->handle);
	if (!charge->no_slot)
		return;

	charge->handle = NULL;
	rf_charge_set_trouble(charge, "no background worker slot is free: raise max_worker_processes");
}

static long
nap_length(int64 now)
{
	int64		nap_us = (int64) NAP_MS * 1000;

	for (int i = 0; i < RF_MAX_DISPATCHERS; i++)
	{
		RfCharge   *charge = &rf_charges[i];

		if (charge->database[0] == '\0')
			continue;
		if (!charge->wanted || (charge->handle != NULL && charge->trouble[0] != '\0'))
			nap_us = Min(nap_us, 1000000);
		else if (charge->handle == NULL)
			nap_us = Min(nap_us, Max(charge->start_at_us - now, 0));
	}
	return (long) (nap_us / 1000) + 1;
}
