/*-------------------------------------------------------------------------
 *
 * pool.c
 *	  Which executors run a job of a SQL task.
 *
 * IDENTIFICATION
 *	  src/worker/pool.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "common/pg_prng.h"
#include "utils/acl.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

#include "core/backoff.h"
#include "outbox/job.h"
#include "outbox/task.h"
#include "settings.h"
#include "worker/pool.h"
#include "worker/state.h"

typedef struct Pool
{
	char	   *role;
	bool		batch;
} Pool;

/* Claimed; given out when that is on disk. */
typedef struct Kept
{
	RfClaimedJob *job;
	int			pool;
	Oid			role;			/* InvalidOid: it is gone */
	RfQueueEntry *queue;		/* it counts there */
	char	   *obstacle;		/* why it cannot run now; or NULL */
} Kept;

static Pool *pools = NULL;
static int	npools = 0;
static List *tasks = NIL;		/* of RfTask */
static MemoryContext tasks_context = NULL;
static List *kept = NIL;		/* of Kept */

static const RfTask *find_task(const char *name);
static void settle_obstacle(RfDispatcher *d, const Kept *k);

void
rf_pools_refresh(void)
{
	MemoryContext old;

	if (tasks_context == NULL)
		tasks_context = AllocSetContextCreate(TopMemoryContext, "roleferry tasks", ALLOCSET_SMALL_SIZES);
	tasks = NIL;
	MemoryContextReset(tasks_context);
	old = MemoryContextSwitchTo(tasks_context);
	tasks = rf_task_list();
	MemoryContextSwitchTo(old);
}

int
rf_pool_for(const char *task, const char *role)
{
	const RfTask *known = find_task(task);
	const char *runner = known != NULL && known->run_as != NULL ? known->run_as : role;
	bool		batch = known != NULL && known->batch;

	for (int i = 0; i < npools; i++)
		if (pools[i].batch == batch && strcmp(pools[i].role, runner) == 0)
			return i;
	pools = pools ? repalloc(pools, (npools + 1) * sizeof(Pool)) :
		MemoryContextAlloc(TopMemoryContext, sizeof(Pool));
	pools[npools].role = MemoryContextStrdup(TopMemoryContext, runner);
	pools[npools].batch = batch;
	return npools++;
}

const char *
rf_pool_role(int pool)
{
	return pools[pool].role;
}

bool
rf_pool_is_batch(int pool)
{
	return pools[pool].batch;
}

bool
rf_pool_wants(const RfClaimedJob *job)
{
	return job->accounts == NIL && !rf_job_is_built_in(job->task);
}

int
rf_pool_room(int pool)
{
	int			waiting = 0;
	ListCell   *lc;

	foreach(lc, kept)
		if (((Kept *) lfirst(lc))->pool == pool)
		waiting++;
	return Max(rf_staff_room(pool, pools[pool].batch ? RF_PREFETCH_BATCH : RF_PREFETCH) - waiting, 0);
}

/* The job's context becomes that of what we remember of it. */
void
rf_pool_keep(RfDispatcher *d, RfClaimedJob *job)
{
	MemoryContext old = MemoryContextSwitchTo(GetMemoryChunkContext(job));
	Kept	   *k = palloc0(sizeof(Kept));
	char	   *why;

	k->job = job;
	k->pool = rf_pool_for(job->task, job->role);
	k->role = get_role_oid(pools[k->pool].role, true);
	if (!OidIsValid(k->role))
		k->obstacle = psprintf("its role \"%s\" does not exist any more", pools[k->pool].role);
	else if (!rf_task_role_can_run(pools[k->pool].role, &why))
		k->obstacle = why;
	k->queue = rf_queues_enter(job->queue ? job->queue : "");
	MemoryContextSwitchTo(d->flights_context);
	kept = lappend(kept, k);
	MemoryContextSwitchTo(old);
}

void
rf_pools_claimed(RfDispatcher *d, bool committed)
{
	List	   *jobs = kept;
	ListCell   *lc;

	kept = NIL;
	foreach(lc, jobs)
	{
		Kept	   *k = lfirst(lc);
		bool		given = false;

		if (!committed)
			 /* whoever resolves the doubt gives it back */ ;
		else if (k->obstacle != NULL)
			settle_obstacle(d, k);
		else if (!(given = rf_staff_give(d, k->pool, k->role, k->job, k->queue)))
		{
			RfSettlement settlement;

			memset(&settlement, 0, sizeof(settlement));
			settlement.kind = RF_SETTLE_GIVE_BACK;
			settlement.run_at = k->job->run_at;
			rf_ledger_keep_job(d, &settlement, k->job);
		}
		if (!given)
			rf_queues_leave(k->queue);
		MemoryContextDelete(GetMemoryChunkContext(k->job));
	}
	list_free(jobs);
}

bool
rf_pools_have_kept(void)
{
	return kept != NIL;
}

int
rf_pool_max_attempts(const RfClaimedJob *job)
{
	const RfTask *task = find_task(job->task);

	if (job->max_attempts > 0)
		return job->max_attempts;
	return task != NULL && task->max_attempts > 0 ? task->max_attempts : rf_max_attempts;
}

static const RfTask *
find_task(const char *name)
{
	ListCell   *lc;

	foreach(lc, tasks)
		if (strcmp(((RfTask *) lfirst(lc))->name, name) == 0)
		return lfirst(lc);
	return NULL;
}

/* A role that is gone does not come back; one that may not connect might. */
static void
settle_obstacle(RfDispatcher *d, const Kept *k)
{
	const RfClaimedJob *job = k->job;
	RfBackoffPolicy policy = rf_backoff_policy(RF_OUTCOME_CONFIG);
	RfSettlement settlement;

	memset(&settlement, 0, sizeof(settlement));
	settlement.kind = RF_SETTLE_WAIT;
	settlement.charged = 1;
	settlement.run_at = GetCurrentTimestamp() +
		rf_backoff_delay_us(&policy, job->failures + 1, -1, 0, pg_prng_uint64(&pg_global_prng_state));
	rf_outcome_init(&settlement.outcome, RF_OUTCOME_CONFIG, 0);
	rf_outcome_set_reason(&settlement.outcome, k->obstacle, strlen(k->obstacle));
	if (!OidIsValid(k->role) || job->failures + 1 >= rf_pool_max_attempts(job))
	{
		settlement.kind = RF_SETTLE_DEAD;
		settlement.state = "failed";
	}
	settlement.verdict = settlement.kind == RF_SETTLE_DEAD ? "failed" : "retry";
	settlement.attempt = job->attempts;
	settlement.started_at = GetCurrentTimestamp();
	rf_ledger_keep_job(d, &settlement, job);
}
