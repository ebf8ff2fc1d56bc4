/*-------------------------------------------------------------------------
 *
 * executor.h
 *	  What a dispatcher and an executor share: a slot with a ring of tickets.
 *
 * A ticket is a claimed job that the executor is to run.  Counters only grow:
 * the dispatcher raises `given` after it has written a ticket, the executor
 * `begun` before it runs one and `ended` after it has said in it what became
 * of the job.  Each side writes its own fields only, so nothing is locked.
 *
 *-------------------------------------------------------------------------
 */
#ifndef ROLEFERRY_EXECUTOR_SLOT_H
#define ROLEFERRY_EXECUTOR_SLOT_H

#include "port/atomics.h"

#include "shmem/shared.h"

#define RF_EXECUTOR_SLOTS	64	/* in the cluster */
#define RF_EXECUTOR_TICKETS 128
#define RF_EXECUTOR_BATCH	50	/* jobs in one transaction */

/* What became of a ticket's job, as the executor has committed it. */
typedef enum RfTicketEnd
{
	RF_TICKET_OPEN,
	RF_TICKET_OVER,				/* it has left the outbox */
	RF_TICKET_WAITS,			/* again, until run_at */
	RF_TICKET_NOT_RUN,			/* nothing was done: give it back */
	RF_TICKET_TAKEN_BACK		/* by the dispatcher, before it was begun */
} RfTicketEnd;

typedef struct RfTicket
{
	int64		job_id;
	bool		batch;			/* may share a transaction */
	pg_atomic_uint32 taken;		/* 1: by the executor, to run it, or by the
								 * dispatcher, who takes it back */
	RfTicketEnd end;
	int64		run_at;			/* TimestampTz */
} RfTicket;

typedef enum RfExecutorState
{
	RF_EXECUTOR_FREE,
	RF_EXECUTOR_STARTING,
	RF_EXECUTOR_READY,
	RF_EXECUTOR_LEAVING,		/* idle for long; takes no ticket any more */
	RF_EXECUTOR_GONE			/* its process has ended */
} RfExecutorState;

typedef struct RfExecutorSlot
{
	pg_atomic_uint32 state;		/* RfExecutorState */
	pg_atomic_uint32 leave;		/* 1: asked to end after the job under way */
	pg_atomic_uint32 ready;		/* 1: it has connected */
	pg_atomic_uint32 given;
	pg_atomic_uint32 begun;
	pg_atomic_uint32 ended;
	uint64		owner;			/* incarnation of its dispatcher */
	int			owner_proc;
	Oid			database;
	Oid			role;			/* its session's */
	int			pid;
	int			proc_number;
	RfPulse		pulse;
	RfTicket	tickets[RF_EXECUTOR_TICKETS];
} RfExecutorSlot;

/* Called by shared.c. */
extern Size rf_executor_shared_size(void);
extern void rf_executor_shared_create(void);

/* In the dispatcher.  NULL: all are in use. */
extern RfExecutorSlot *rf_executor_take_slot(uint64 owner, Oid role);
extern void rf_executor_free_slot(RfExecutorSlot *slot);
extern int	rf_executor_number(const RfExecutorSlot *slot);

/* False: the ring is full, or it takes none any more. */
extern bool rf_executor_give(RfExecutorSlot *slot, int64 job_id, bool batch);
extern void rf_executor_wake(const RfExecutorSlot *slot);

/* Take ticket n back.  False: it is begun. */
extern bool rf_executor_take_back(RfExecutorSlot *slot, uint32 n);

/* From the dispatcher's exit callback, once it is no longer registered. */
extern void rf_executor_abandon(uint64 owner);

/* Slot number i (from 0), in use or not; NULL: there are no more. */
extern RfExecutorSlot *rf_executor_at(int i);

/* In the executor.  NULL: nobody expects it any more. */
extern RfExecutorSlot *rf_executor_attach(int number, uint64 owner);
extern void rf_executor_wake_owner(const RfExecutorSlot *slot);

/* Take ticket n to run it.  False: the dispatcher has taken it back. */
extern bool rf_executor_begin(RfExecutorSlot *slot, uint32 n);

/* Idle for long: no ticket comes any more.  False: there is one. */
extern bool rf_executor_close(RfExecutorSlot *slot);
extern void rf_executor_set_ready(RfExecutorSlot *slot);

static inline RfTicket *
rf_executor_ticket(RfExecutorSlot *slot, uint32 n)
{
	return &slot->tickets[n % RF_EXECUTOR_TICKETS];
}

#endif							/* ROLEFERRY_EXECUTOR_SLOT_H */
