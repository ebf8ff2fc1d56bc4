/*-------------------------------------------------------------------------
 *
 * shared.c
 *	  Creation of the shared struct, and the dispatcher slots.
 *
 * A slot is found by database.  `incarnation` is the liveness token: outbox
 * rows carry it, and a token that stands in no slot belongs to the dead.  All
 * slots are empty by definition after a (crash) restart.
 *
 * IDENTIFICATION
 *	  src/shmem/shared.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <signal.h>

#include "fmgr.h"
#include "miscadmin.h"
#include "storage/ipc.h"
#include "storage/proc.h"
#include "storage/shmem.h"

#include "compat.h"
#include "errors.h"
#include "settings.h"
#include "shmem/call.h"
#include "shmem/executor.h"
#include "shmem/limit.h"
#include "shmem/rejection.h"
#include "shmem/shared.h"
#include "shmem/stat.h"

#define SHARED_NAME "roleferry"
#define RENDEZVOUS_NAME "roleferry shared memory"

RfShared   *rf_shared = NULL;

static shmem_request_hook_type previous_request_hook = NULL;
static shmem_startup_hook_type previous_startup_hook = NULL;

static Size shared_size(void);
static void request_shared(void);
static void create_shared(void);
static void initialize_shared(RfShared *shared);
static void publish_mode(int mode);

void
rf_shared_install_hooks(void)
{
	previous_request_hook = shmem_request_hook;
	shmem_request_hook = request_shared;
	previous_startup_hook = shmem_startup_hook;
	shmem_startup_hook = create_shared;
	rf_mode_of_server_changed = publish_mode;
}

void
rf_shared_require(void)
{
	if (rf_shared == NULL && *find_rendezvous_variable(RENDEZVOUS_NAME) != NULL)
		ereport(ERROR,
				(errcode(RF_ERRCODE_NOT_READY),
				 errmsg("the server has preloaded another copy of roleferry's library than this session uses"),
				 errhint("Restart the server.")));
	if (rf_shared == NULL)
		ereport(ERROR,
				(errcode(RF_ERRCODE_NOT_READY),
				 errmsg("roleferry is not preloaded"),
				 errhint("Add \"roleferry\" to shared_preload_libraries and restart the server.")));
	if (rf_shared->magic != RF_SHARED_MAGIC || rf_shared->abi != RF_SHARED_ABI)
		ereport(ERROR,
				(errcode(RF_ERRCODE_NOT_READY),
				 errmsg("roleferry's library was replaced under a running server"),
				 errhint("Restart the server.")));
}

RfDispatcherSlot *
rf_shared_register_dispatcher(Oid database, uint64 incarnation)
{
	RfDispatcherSlot *slot = NULL;

	LWLockAcquire(rf_shared->lock, LW_EXCLUSIVE);
	for (int i = 0; i < RF_MAX_DISPATCHERS; i++)
	{
		RfDispatcherSlot *candidate = &rf_shared->dispatchers[i];

		if (candidate->database == database)
		{
			slot = candidate->incarnation == 0 ? candidate : NULL;
			break;
		}
		if (candidate->database == InvalidOid && slot == NULL)
			slot = candidate;
	}
	if (slot != NULL)
	{
		slot->pid = MyProcPid;
		slot->proc_number = rf_my_proc_number();
		slot->incarnation = incarnation;
		pg_write_barrier();
		slot->database = database;
		rf_pulse_begin(&slot->pulse);
		SpinLockAcquire(&slot->hints_lock);
		slot->nhints = 0;
		slot->look_everywhere = true;
		SpinLockRelease(&slot->hints_lock);
		pg_atomic_write_u32(&slot->wake, 0);
		pg_atomic_write_u32(&slot->calls, 0);
		pg_atomic_write_u32(&slot->questions, 0);
		pg_atomic_write_u32(&slot->rules, RF_RULES_ASK);
	}
	LWLockRelease(rf_shared->lock);
	return slot;
}

void
rf_shared_unregister_dispatcher(RfDispatcherSlot *slot)
{
	LWLockAcquire(rf_shared->lock, LW_EXCLUSIVE);
	slot->database = InvalidOid;
	pg_write_barrier();
	slot->incarnation = 0;
	slot->pid = 0;
	rf_pulse_end(&slot->pulse);
	LWLockRelease(rf_shared->lock);
}

/*
 * Read without the lock: called at every commit that enqueued.  The worst a
 * race can do is one wake-up of a process that does not need it, or a missed
 * one that the dispatcher's start or its next sweep makes good.
 */
RfDispatcherSlot *
rf_shared_find_dispatcher(Oid database)
{
	for (int i = 0; i < RF_MAX_DISPATCHERS; i++)
	{
		RfDispatcherSlot *slot = &rf_shared->dispatchers[i];

		if (slot->database == database && slot->incarnation != 0)
			return slot;
	}
	return NULL;
}

/* Under the lock: nobody gives his slot back before the signal is sent. */
bool
rf_shared_stop_dispatcher(Oid database)
{
	bool		found = false;

	LWLockAcquire(rf_shared->lock, LW_SHARED);
	for (int i = 0; i < RF_MAX_DISPATCHERS && !found; i++)
	{
		RfDispatcherSlot *slot = &rf_shared->dispatchers[i];

		if (slot->database != database || slot->incarnation == 0)
			continue;
		found = true;
		(void) kill(slot->pid, SIGTERM);
	}
	LWLockRelease(rf_shared->lock);
	return found;
}

bool
rf_shared_incarnation_alive(Oid database, uint64 incarnation)
{
	bool		alive = false;

	LWLockAcquire(rf_shared->lock, LW_SHARED);
	for (int i = 0; i < RF_MAX_DISPATCHERS && !alive; i++)
		alive = rf_shared->dispatchers[i].incarnation == incarnation &&
			rf_shared->dispatchers[i].database == database;
	LWLockRelease(rf_shared->lock);
	return alive;
}

static Size
shared_size(void)
{
	return add_size(offsetof(RfShared, gates),
					mul_size(rf_max_accounts, sizeof(RfGate)));
}

static void
request_shared(void)
{
	if (previous_request_hook)
		previous_request_hook();
	RequestAddinShmemSpace(shared_size());
	RequestAddinShmemSpace(rf_call_shared_size());
	RequestAddinShmemSpace(rf_limit_shared_size());
	RequestAddinShmemSpace(rf_executor_shared_size());
	RequestAddinShmemSpace(rf_stat_shared_size());
	RequestAddinShmemSpace(rf_rejection_shared_size());
	RequestNamedLWLockTranche(SHARED_NAME, 4);
}

static void
create_shared(void)
{
	bool		found;

	if (previous_startup_hook)
		previous_startup_hook();

	LWLockAcquire(AddinShmemInitLock, LW_EXCLUSIVE);
	rf_shared = ShmemInitStruct(SHARED_NAME, shared_size(), &found);
	if (!found)
		initialize_shared(rf_shared);
	rf_call_shared_create();
	rf_rejection_shared_create();
	rf_executor_shared_create();
	rf_limit_shared_create(&GetNamedLWLockTranche(SHARED_NAME)[2].lock);
	rf_stat_shared_create(&GetNamedLWLockTranche(SHARED_NAME)[3].lock);
	LWLockRelease(AddinShmemInitLock);

	/* For a copy of this library that comes from another path. */
	*find_rendezvous_variable(RENDEZVOUS_NAME) = rf_shared;
}

static void
initialize_shared(RfShared *shared)
{
	LWLockPadded *locks = GetNamedLWLockTranche(SHARED_NAME);

	memset(shared, 0, shared_size());
	shared->lock = &locks[0].lock;
	shared->gates_lock = &locks[1].lock;
	shared->max_gates = rf_max_accounts;
	pg_atomic_init_u32(&shared->mode, (uint32) rf_mode);
	SpinLockInit(&shared->faults_lock);
	SpinLockInit(&shared->waiters_lock);
	pg_atomic_init_u32(&shared->nwaiters, 0);
	rf_pulse_init(&shared->launcher);
	for (int i = 0; i < RF_MAX_DISPATCHERS; i++)
	{
		RfDispatcherSlot *slot = &shared->dispatchers[i];

		SpinLockInit(&slot->hints_lock);
		rf_pulse_init(&slot->pulse);
		pg_atomic_init_u32(&slot->wake, 0);
		pg_atomic_init_u32(&slot->calls, 0);
		pg_atomic_init_u32(&slot->questions, 0);
		pg_atomic_init_u32(&slot->rules, RF_RULES_KNOWN);
		pg_atomic_init_u32(&slot->attempt_table, 0);
		pg_atomic_init_u32(&slot->result_table, 0);
	}
	shared->abi = RF_SHARED_ABI;
	shared->magic = RF_SHARED_MAGIC;
}

/* In the postmaster: nothing that could fail. */
static void
publish_mode(int mode)
{
	if (rf_shared != NULL)
		pg_atomic_write_u32(&rf_shared->mode, (uint32) mode);
}
