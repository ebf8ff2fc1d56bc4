/*-------------------------------------------------------------------------
 *
 * executor.c
 *	  The process that runs SQL tasks, connected as the role of their jobs.
 *
 * Its session is the role's own, as if the role had logged in: no superuser's
 * with another user set, whom a function could become again, and as whom
 * deferred triggers would run at the commit.  It is started by the dispatcher
 * for one role, runs what stands in its slot's ring, and ends when there was
 * nothing for a while, when it is asked to, or with its dispatcher.
 *
 * SIGTERM ends it at once, as it does a session; the task under way is rolled
 * back and runs again elsewhere.
 *
 * IDENTIFICATION
 *	  src/worker/executor.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "miscadmin.h"
#include "pgstat.h"
#include "postmaster/interrupt.h"
#include "storage/ipc.h"
#include "storage/latch.h"
#include "tcop/tcopprot.h"
#include "utils/guc.h"
#include "utils/memutils.h"

#include "compat.h"
#include "settings.h"
#include "shmem/fault.h"
#include "shmem/shared.h"
#include "worker/executor.h"
#include "worker/launcher.h"
#include "worker/task_session.h"

/* How often to look whether the dispatcher is still there. */
#define LOOK_MS			1000L

typedef struct Orders
{
	uint64		owner;
	int			number;			/* of the slot */
	Oid			database;
	Oid			role;
} Orders;

StaticAssertDecl(sizeof(Orders) <= BGW_EXTRALEN, "orders fit into bgw_extra");

static int	waiting_in(RfExecutorSlot *slot);
static bool is_over(RfExecutorSlot *slot, const Orders *orders, int64 idle_since_us);

bool
rf_executor_register(RfExecutorSlot *slot, const char *role,
					 BackgroundWorkerHandle **handle)
{
	BackgroundWorker worker;
	Orders		orders;

	memset(&orders, 0, sizeof(orders));
	orders.owner = slot->owner;
	orders.number = rf_executor_number(slot);
	orders.database = slot->database;
	orders.role = slot->role;

	memset(&worker, 0, sizeof(worker));
	worker.bgw_flags = BGWORKER_SHMEM_ACCESS | BGWORKER_BACKEND_DATABASE_CONNECTION;
	worker.bgw_start_time = BgWorkerStart_RecoveryFinished;
	worker.bgw_restart_time = BGW_NEVER_RESTART;
	worker.bgw_notify_pid = MyProcPid;
	strlcpy(worker.bgw_library_name, RF_LIBRARY, sizeof(worker.bgw_library_name));
	strlcpy(worker.bgw_function_name, CppAsString(rf_executor_main),
			sizeof(worker.bgw_function_name));
	snprintf(worker.bgw_name, sizeof(worker.bgw_name), RF_EXECUTOR_TYPE " of %s", role);
	strlcpy(worker.bgw_type, RF_EXECUTOR_TYPE, sizeof(worker.bgw_type));
	memcpy(worker.bgw_extra, &orders, sizeof(orders));
	return RegisterDynamicBackgroundWorker(&worker, handle);
}

void
rf_executor_main(Datum arg)
{
	Orders		orders;
	RfExecutorSlot *slot;
	MemoryContext context;
	int64		idle_since_us;

	memcpy(&orders, MyBgworkerEntry->bgw_extra, sizeof(orders));
	pqsignal(SIGHUP, SignalHandlerForConfigReload);
	pqsignal(SIGTERM, die);
	pqsignal(SIGINT, StatementCancelHandler);
	BackgroundWorkerUnblockSignals();
	if (rf_shared == NULL || (slot = rf_executor_attach(orders.number, orders.owner)) == NULL)
		proc_exit(0);

	RF_FAULT("executor_start");
	BackgroundWorkerInitializeConnectionByOid(orders.database, orders.role, RF_EXECUTOR_FLAGS);
	pgstat_report_appname(RF_EXECUTOR_TYPE);

	/* An error ends a job here, never the session. */
	SetConfigOption("exit_on_error", "off", PGC_USERSET, PGC_S_OVERRIDE);
	rf_task_session_begin();
	rf_executor_set_ready(slot);
	context = AllocSetContextCreate(TopMemoryContext, "roleferry task", ALLOCSET_DEFAULT_SIZES);
	idle_since_us = rf_gate_now_us();

	for (;;)
	{
		QueryCancelPending = false; /* there is nothing to cancel here */
		CHECK_FOR_INTERRUPTS();
		if (ConfigReloadPending)
		{
			ConfigReloadPending = false;
			ProcessConfigFile(PGC_SIGHUP);
		}
		if (is_over(slot, &orders, idle_since_us))
			proc_exit(0);
		if (pg_atomic_read_u32(&slot->given) != pg_atomic_read_u32(&slot->ended))
		{
			rf_pulse_beat(&slot->pulse, RF_PULSE_BUSY, waiting_in(slot));
			rf_task_run_next(slot, context);
			MemoryContextReset(context);
			idle_since_us = rf_gate_now_us();
			continue;
		}
		rf_pulse_beat(&slot->pulse, RF_PULSE_IDLE, 0);
		pgstat_report_activity(STATE_IDLE, "waiting for SQL tasks");
		(void) WaitLatch(MyLatch, WL_LATCH_SET | WL_TIMEOUT | WL_EXIT_ON_PM_DEATH, LOOK_MS,
						 rf_wait_event_new("RoleferryExecutor"));
		ResetLatch(MyLatch);
	}
}

/* Jobs it was given that have not ended. */
static int
waiting_in(RfExecutorSlot *slot)
{
	return (int) (pg_atomic_read_u32(&slot->given) - pg_atomic_read_u32(&slot->ended));
}

static bool
is_over(RfExecutorSlot *slot, const Orders *orders, int64 idle_since_us)
{
	if (pg_atomic_read_u32(&slot->leave) != 0 ||
		!rf_shared_incarnation_alive(MyDatabaseId, orders->owner))
		return true;
	return rf_gate_now_us() - idle_since_us >= (int64) rf_executor_idle_timeout * 1000 &&
		rf_executor_close(slot);
}
