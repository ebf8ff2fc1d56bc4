/*-------------------------------------------------------------------------
 *
 * executor.c
 *	  What a dispatcher and an executor share: a slot with a ring of tickets.
 *
 * A slot belongs to the dispatcher that took it until the executor is gone;
 * where the dispatcher ends first, whoever of both comes last frees it.
 *
 * IDENTIFICATION
 *	  src/shmem/executor.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "miscadmin.h"
#include "storage/ipc.h"
#include "storage/latch.h"
#include "storage/proc.h"
#include "storage/shmem.h"

#include "compat.h"
#include "shmem/executor.h"
#include "shmem/shared.h"

#define TABLE_NAME "roleferry executors"

static RfExecutorSlot *slots = NULL;

static bool change_state(RfExecutorSlot *slot, RfExecutorState from, RfExecutorState to);
static void leave(int code, Datum arg);

Size
rf_executor_shared_size(void)
{
	return mul_size(RF_EXECUTOR_SLOTS, sizeof(RfExecutorSlot));
}

void
rf_executor_shared_create(void)
{
	bool		found;

	slots = ShmemInitStruct(TABLE_NAME, rf_executor_shared_size(), &found);
	if (found)
		return;
	memset(slots, 0, rf_executor_shared_size());
	for (int i = 0; i < RF_EXECUTOR_SLOTS; i++)
	{
		pg_atomic_init_u32(&slots[i].state, RF_EXECUTOR_FREE);
		pg_atomic_init_u32(&slots[i].leave, 0);
		pg_atomic_init_u32(&slots[i].ready, 0);
		pg_atomic_init_u32(&slots[i].given, 0);
		rf_pulse_init(&slots[i].pulse);
		for (int n = 0; n < RF_EXECUTOR_TICKETS; n++)
			pg_atomic_init_u32(&slots[i].tickets[n].taken, 0);
		pg_atomic_init_u32(&slots[i].begun, 0);
		pg_atomic_init_u32(&slots[i].ended, 0);
	}
}

RfExecutorSlot *
rf_executor_take_slot(uint64 owner, Oid role)
{
	for (int i = 0; i < RF_EXECUTOR_SLOTS; i++)
	{
		RfExecutorSlot *slot = &slots[i];

		if (!change_state(slot, RF_EXECUTOR_FREE, RF_EXECUTOR_STARTING))
			continue;
		slot->owner = owner;
		slot->owner_proc = rf_my_proc_number();
		slot->database = MyDatabaseId;
		slot->role = role;
		slot->pid = 0;
		slot->proc_number = -1;
		pg_atomic_write_u32(&slot->leave, 0);
		pg_atomic_write_u32(&slot->ready, 0);
		pg_atomic_write_u32(&slot->given, 0);
		pg_atomic_write_u32(&slot->begun, 0);
		pg_atomic_write_u32(&slot->ended, 0);
		pg_memory_barrier();
		return slot;
	}
	return NULL;
}

void
rf_executor_free_slot(RfExecutorSlot *slot)
{
	pg_atomic_write_u32(&slot->state, RF_EXECUTOR_FREE);
}

int
rf_executor_number(const RfExecutorSlot *slot)
{
	return (int) (slot - slots);
}

RfExecutorSlot *
rf_executor_at(int i)
{
	return i < RF_EXECUTOR_SLOTS ? &slots[i] : NULL;
}

bool
rf_executor_give(RfExecutorSlot *slot, int64 job_id, bool batch)
{
	uint32		given = pg_atomic_read_u32(&slot->given);
	uint32		state = pg_atomic_read_u32(&slot->state);
	RfTicket   *ticket = rf_executor_ticket(slot, given);

	if ((state != RF_EXECUTOR_STARTING && state != RF_EXECUTOR_READY) ||
		given - pg_atomic_read_u32(&slot->ended) >= RF_EXECUTOR_TICKETS)
		return false;
	ticket->job_id = job_id;
	ticket->batch = batch;
	ticket->end = RF_TICKET_OPEN;
	pg_atomic_write_u32(&ticket->taken, 0);
	(void) pg_atomic_fetch_add_u32(&slot->given, 1);	/* a full barrier */
	return true;
}

void
rf_executor_wake(const RfExecutorSlot *slot)
{
	if (slot->proc_number >= 0)
		SetLatch(rf_proc_latch(slot->proc_number));
}

bool
rf_executor_take_back(RfExecutorSlot *slot, uint32 n)
{
	RfTicket   *ticket = rf_executor_ticket(slot, n);

	if (!rf_executor_begin(slot, n))
		return false;
	ticket->end = RF_TICKET_TAKEN_BACK;
	return true;
}

bool
rf_executor_begin(RfExecutorSlot *slot, uint32 n)
{
	uint32		expected = 0;

	return pg_atomic_compare_exchange_u32(&rf_executor_ticket(slot, n)->taken, &expected, 1);
}

bool
rf_executor_close(RfExecutorSlot *slot)
{
	(void) pg_atomic_exchange_u32(&slot->state, RF_EXECUTOR_LEAVING);
	if (pg_atomic_read_u32(&slot->given) == pg_atomic_read_u32(&slot->ended))
		return true;
	(void) pg_atomic_exchange_u32(&slot->state, RF_EXECUTOR_READY);
	return false;
}

void
rf_executor_set_ready(RfExecutorSlot *slot)
{
	(void) pg_atomic_exchange_u32(&slot->state, RF_EXECUTOR_READY);
	pg_atomic_write_u32(&slot->ready, 1);
}

void
rf_executor_abandon(uint64 owner)
{
	for (int i = 0; i < RF_EXECUTOR_SLOTS; i++)
	{
		if (slots[i].owner != owner)
			continue;
		pg_atomic_write_u32(&slots[i].leave, 1);
		pg_memory_barrier();
		if (!change_state(&slots[i], RF_EXECUTOR_GONE, RF_EXECUTOR_FREE))
			rf_executor_wake(&slots[i]);
	}
}

RfExecutorSlot *
rf_executor_attach(int number, uint64 owner)
{
	RfExecutorSlot *slot = &slots[number];

	if (slot->owner != owner || pg_atomic_read_u32(&slot->state) != RF_EXECUTOR_STARTING)
		return NULL;
	before_shmem_exit(leave, PointerGetDatum(slot));
	slot->pid = MyProcPid;
	rf_pulse_begin(&slot->pulse);
	pg_memory_barrier();
	slot->proc_number = rf_my_proc_number();
	return slot;
}

void
rf_executor_wake_owner(const RfExecutorSlot *slot)
{
	SetLatch(rf_proc_latch(slot->owner_proc));
}

static bool
change_state(RfExecutorSlot *slot, RfExecutorState from, RfExecutorState to)
{
	uint32		expected = from;

	return pg_atomic_compare_exchange_u32(&slot->state, &expected, to);
}

/* Exit callback: what is in the ring is the dispatcher's again. */
static void
leave(int code, Datum arg)
{
	RfExecutorSlot *slot = (RfExecutorSlot *) DatumGetPointer(arg);
	uint64		owner = slot->owner;

	slot->proc_number = -1;
	rf_pulse_end(&slot->pulse);
	(void) pg_atomic_exchange_u32(&slot->state, RF_EXECUTOR_GONE);
	if (!rf_shared_incarnation_alive(MyDatabaseId != InvalidOid ? MyDatabaseId : slot->database, owner))
		(void) change_state(slot, RF_EXECUTOR_GONE, RF_EXECUTOR_FREE);
	else
		rf_executor_wake_owner(slot);
}
