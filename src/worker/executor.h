/*-------------------------------------------------------------------------
 *
 * executor.h
 *	  The process that runs SQL tasks, connected as the role of their jobs.
 *
 *-------------------------------------------------------------------------
 */
#ifndef ROLEFERRY_EXECUTOR_H
#define ROLEFERRY_EXECUTOR_H

#include "postmaster/bgworker.h"

#include "shmem/executor.h"

#define RF_EXECUTOR_TYPE "roleferry executor"

/* In the dispatcher: start one for the slot.  False: no worker slot is free. */
extern bool rf_executor_register(RfExecutorSlot *slot, const char *role,
								 BackgroundWorkerHandle **handle);

extern PGDLLEXPORT void rf_executor_main(Datum arg);

/* task_run.c: runs the next tickets, one or some that share a transaction. */
extern void rf_task_run_next(RfExecutorSlot *slot, MemoryContext context);

#endif							/* ROLEFERRY_EXECUTOR_H */
