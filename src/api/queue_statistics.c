/*-------------------------------------------------------------------------
 *
 * queue_statistics.c
 *	  What queues hold and have done, and how the workers do, as rows.
 *
 * All of it from shared memory: no table is read.
 *
 * IDENTIFICATION
 *	  src/api/queue_statistics.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "fmgr.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "storage/fd.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"

#include "api/version.h"
#include "shmem/executor.h"
#include "shmem/shared.h"
#include "shmem/stat_queue.h"

#define QUEUE_COLUMNS	(9 + RF_STAT_JOBS)
#define WORKER_COLUMNS	10

/* Of a line in /proc/PID/status. */
#define PRIVATE_PREFIX	"RssAnon:"

static void put_worker(ReturnSetInfo *result, const char *kind, RfPulse *pulse,
					   Oid database, Oid role);
static const char *state_text(uint32 state);
static int64 private_bytes(int pid);

PG_FUNCTION_INFO_V1(roleferry_queue_statistics);
PG_FUNCTION_INFO_V1(roleferry_worker_statistics);

/* One row a queue that has been used, or that is configured. */
Datum
roleferry_queue_statistics(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *result = (ReturnSetInfo *) fcinfo->resultinfo;
	RfStatQueueView view;
	int			i = 0;

	rf_shared_require();
	InitMaterializedSRF(fcinfo, 0);
	rf_version_require_columns(result->setDesc, QUEUE_COLUMNS);
	while (rf_stat_next_queue(MyDatabaseId, &i, &view))
	{
		Datum		values[QUEUE_COLUMNS];
		bool		nulls[QUEUE_COLUMNS] = {false};
		int			n = 0;

		values[n++] = CStringGetTextDatum(view.name);
		for (int j = n; j < n + 4; j++)
			nulls[j] = view.depth.at == 0;
		nulls[n + 3] |= view.depth.oldest == 0;
		values[n++] = Int64GetDatum(view.depth.ready);
		values[n++] = Int64GetDatum(view.depth.later);
		values[n++] = BoolGetDatum(view.depth.estimated);
		values[n++] = TimestampTzGetDatum(view.depth.oldest);
		nulls[n] = view.depth.at == 0;
		values[n++] = TimestampTzGetDatum(view.depth.at);
		values[n++] = Int32GetDatum((int32) view.running);
		for (int j = 0; j < RF_STAT_JOBS; j++)
			values[n++] = Int64GetDatum((int64) view.jobs[j]);
		values[n++] = Float8GetDatum(view.ended_per_s);
		values[n++] = Float8GetDatum(view.failed_per_s);
		Assert(n == QUEUE_COLUMNS);
		tuplestore_putvalues(result->setResult, result->setDesc, values, nulls);
	}
	return (Datum) 0;
}

/* The launcher, and the dispatchers and executors of all databases. */
Datum
roleferry_worker_statistics(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *result = (ReturnSetInfo *) fcinfo->resultinfo;

	rf_shared_require();
	InitMaterializedSRF(fcinfo, 0);
	rf_version_require_columns(result->setDesc, WORKER_COLUMNS);
	put_worker(result, "launcher", &rf_shared->launcher, InvalidOid, InvalidOid);
	for (int i = 0; i < RF_MAX_DISPATCHERS; i++)
	{
		RfDispatcherSlot *slot = &rf_shared->dispatchers[i];

		if (OidIsValid(slot->database))
			put_worker(result, "dispatcher", &slot->pulse, slot->database, InvalidOid);
	}
	for (int i = 0; rf_executor_at(i) != NULL; i++)
	{
		RfExecutorSlot *slot = rf_executor_at(i);

		if (pg_atomic_read_u32(&slot->state) != RF_EXECUTOR_FREE)
			put_worker(result, "executor", &slot->pulse, slot->database, slot->role);
	}
	return (Datum) 0;
}

static void
put_worker(ReturnSetInfo *result, const char *kind, RfPulse *pulse, Oid database,
		   Oid role)
{
	int			pid = pulse->pid;
	int64		memory = pid != 0 ? private_bytes(pid) : 0;
	Datum		values[WORKER_COLUMNS];
	bool		nulls[WORKER_COLUMNS] = {false};

	if (pid == 0)
		return;
	values[0] = CStringGetTextDatum(kind);
	values[1] = Int32GetDatum(pid);
	nulls[2] = !OidIsValid(database);
	values[2] = ObjectIdGetDatum(database);
	nulls[3] = !OidIsValid(role);
	values[3] = ObjectIdGetDatum(role);
	values[4] = CStringGetTextDatum(state_text(pg_atomic_read_u32(&pulse->state)));
	values[5] = TimestampTzGetDatum(pulse->since);
	values[6] = Int32GetDatum((int32) pg_atomic_read_u32(&pulse->in_flight));
	values[7] = Int64GetDatum((int64) pg_atomic_read_u64(&pulse->turns));
	values[8] = TimestampTzGetDatum((TimestampTz) pg_atomic_read_u64(&pulse->beat));
	nulls[9] = memory == 0;
	values[9] = Int64GetDatum(memory);
	tuplestore_putvalues(result->setResult, result->setDesc, values, nulls);
}

static const char *
state_text(uint32 state)
{
	switch ((RfPulseState) state)
	{
		case RF_PULSE_NONE:
			break;
		case RF_PULSE_STARTING:
			return "starting";
		case RF_PULSE_MUTE:
			return "not active";
		case RF_PULSE_IDLE:
			return "idle";
		case RF_PULSE_BUSY:
			return "busy";
		case RF_PULSE_LEAVING:
			return "leaving";
	}
	return "gone";
}

/* What the kernel says of another process of our user; 0: nothing. */
static int64
private_bytes(int pid)
{
	char		path[64];
	char		line[256];
	long long	kilobytes = 0;
	FILE	   *file;

	snprintf(path, sizeof(path), "/proc/%d/status", pid);
	file = AllocateFile(path, "r");
	if (file == NULL)
		return 0;
	while (fgets(line, sizeof(line), file) != NULL)
		if (strncmp(line, PRIVATE_PREFIX, strlen(PRIVATE_PREFIX)) == 0)
		{
			kilobytes = strtoll(line + strlen(PRIVATE_PREFIX), NULL, 10);
			break;
		}
	(void) FreeFile(file);
	return kilobytes * 1024;
}
