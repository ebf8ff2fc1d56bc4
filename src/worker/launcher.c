/*-------------------------------------------------------------------------
 *
 * launcher.c
 *	  Keeps a dispatcher running for each database of roleferry.databases.
 *
 * A static background worker connected to no database.  Dispatchers are
 * dynamic workers that are never restarted by the postmaster: this process is
 * their only supervisor.  A dispatcher that keeps failing is started less and
 * less often (1 s to 60 s); one that ran for a minute starts afresh.
 *
 * IDENTIFICATION
 *	  src/worker/launcher.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "miscadmin.h"
#include "pgstat.h"
#include "postmaster/bgworker.h"
#include "postmaster/interrupt.h"
#include "storage/ipc.h"
#include "storage/latch.h"
#include "utils/guc.h"
#include "utils/memutils.h"
#include "utils/varlena.h"

#include "compat.h"
#include "settings.h"
#include "shmem/shared.h"
#include "worker/dispatcher.h"
#include "worker/launcher.h"

#define LAUNCHER_TYPE		"roleferry launcher"
#define FIRST_BACKOFF_US	INT64CONST(1000000)
#define MAX_BACKOFF_US		INT64CONST(60000000)
#define NAP_MS				60000L

/* What ran this long starts afresh, without backoff. */
#define STEADY_US			INT64CONST(60000000)

/* One log line a minute. */
#define COMPLAIN_US			INT64CONST(60000000)

typedef struct Charge
{
	char		database[NAMEDATALEN];	/* empty: free */
	bool		wanted;
	BackgroundWorkerHandle *handle; /* NULL: not running */
	int64		started_us;
	int64		start_at_us;	/* not before */
	int64		backoff_us;
	int64		complained_us;
} Charge;

static Charge charges[RF_MAX_DISPATCHERS];
static MemoryContext launcher_context;

static void read_databases(void);
static void want_database(const char *name);
static void supervise(Charge *charge, int64 now);
static void start_dispatcher(Charge *charge, int64 now);
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
	read_databases();

	while (!ShutdownRequestPending)
	{
		int64		now = rf_gate_now_us();

		for (int i = 0; i < RF_MAX_DISPATCHERS; i++)
			if (charges[i].database[0] != '\0')
				supervise(&charges[i], now);

		pgstat_report_activity(STATE_IDLE, "supervising dispatchers");
		(void) WaitLatch(MyLatch, WL_LATCH_SET | WL_TIMEOUT | WL_EXIT_ON_PM_DEATH,
						 nap_length(now), rf_wait_event_new("RoleferryLauncher"));
		ResetLatch(MyLatch);
		CHECK_FOR_INTERRUPTS();
		if (ConfigReloadPending)
		{
			ConfigReloadPending = false;
			ProcessConfigFile(PGC_SIGHUP);
			read_databases();
		}
	}
	proc_exit(0);
}

static void
read_databases(void)
{
	List	   *names = NIL;
	char	   *setting = pstrdup(rf_databases ? rf_databases : "");
	ListCell   *lc;

	for (int i = 0; i < RF_MAX_DISPATCHERS; i++)
		charges[i].wanted = false;
	if (!SplitIdentifierString(setting, ',', &names))
	{
		ereport(LOG,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("invalid list of names in roleferry.databases")));
		names = NIL;
	}
	foreach(lc, names)
		want_database(lfirst(lc));
	list_free(names);
	pfree(setting);
}

static void
want_database(const char *name)
{
	Charge	   *place = NULL;

	for (int i = 0; i < RF_MAX_DISPATCHERS; i++)
	{
		if (strcmp(charges[i].database, name) == 0)
		{
			charges[i].wanted = true;
			return;
		}
		if (place == NULL && charges[i].database[0] == '\0')
			place = &charges[i];
	}
	if (place == NULL)
	{
		ereport(LOG,
				(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
				 errmsg("roleferry.databases lists more than %d databases: \"%s\" is not served",
						RF_MAX_DISPATCHERS, name)));
		return;
	}
	memset(place, 0, sizeof(*place));
	strlcpy(place->database, name, sizeof(place->database));
	place->wanted = true;
	place->backoff_us = FIRST_BACKOFF_US;
}

static void
supervise(Charge *charge, int64 now)
{
	pid_t		pid;
	bool		running = false;

	if (charge->handle != NULL)
	{
		running = GetBackgroundWorkerPid(charge->handle, &pid) != BGWH_STOPPED;
		if (!running)
		{
			bool		steady = now - charge->started_us >= STEADY_US;

			pfree(charge->handle);
			charge->handle = NULL;
			charge->backoff_us = steady ? FIRST_BACKOFF_US :
				Min(charge->backoff_us * 2, MAX_BACKOFF_US);
			charge->start_at_us = steady ? now : Max(now, charge->started_us + charge->backoff_us / 2);
		}
	}

	if (!charge->wanted)
	{
		if (running)
			TerminateBackgroundWorker(charge->handle);
		else
			charge->database[0] = '\0';
		return;
	}
	if (!running && now >= charge->start_at_us)
		start_dispatcher(charge, now);
}

static void
start_dispatcher(Charge *charge, int64 now)
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
	if (RegisterDynamicBackgroundWorker(&worker, &charge->handle))
		return;

	charge->handle = NULL;
	charge->start_at_us = now + charge->backoff_us;
	charge->backoff_us = Min(charge->backoff_us * 2, MAX_BACKOFF_US);
	if (charge->complained_us == 0 || now - charge->complained_us >= COMPLAIN_US)
	{
		charge->complained_us = now;
		ereport(LOG,
				(errcode(ERRCODE_CONFIGURATION_LIMIT_EXCEEDED),
				 errmsg("could not start a dispatcher for database \"%s\": no background worker slot is free",
						charge->database),
				 errhint("Raise max_worker_processes.")));
	}
}

static long
nap_length(int64 now)
{
	int64		nap_us = (int64) NAP_MS * 1000;

	for (int i = 0; i < RF_MAX_DISPATCHERS; i++)
	{
		Charge	   *charge = &charges[i];

		if (charge->database[0] == '\0')
			continue;
		if (!charge->wanted)
			nap_us = Min(nap_us, 1000000);
		else if (charge->handle == NULL)
			nap_us = Min(nap_us, Max(charge->start_at_us - now, 0));
	}
	return (long) (nap_us / 1000) + 1;
}
