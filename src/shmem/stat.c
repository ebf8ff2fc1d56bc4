/*-------------------------------------------------------------------------
 *
 * stat.c
 *	  What accounts have done: counters in shared memory.
 *
 * A place is given away under the lock and then belongs to its account until
 * the account's server is dropped.  The one writer remembers the place it used
 * last and looks no further while it counts for the same account; what it
 * counts it adds with plain atomic writes.
 *
 * IDENTIFICATION
 *	  src/shmem/stat.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "miscadmin.h"
#include "storage/ipc.h"
#include "storage/shmem.h"
#include "utils/timestamp.h"

#include "settings.h"
#include "shmem/stat_area.h"

#define AREA_NAME "roleferry statistics"

static RfStatArea *area = NULL;

static void save(int code, Datum arg);
static RfStatAccount *obtain_account(Oid database, Oid server);
static RfStatDatabase *find_database(Oid database, bool make);
static void clear_account(RfStatAccount *account);
static void clear_database(RfStatDatabase *database);
static bool is_failure(RfOutcomeClass class);

Size
rf_stat_shared_size(void)
{
	return add_size(offsetof(RfStatArea, accounts), mul_size(rf_max_accounts, sizeof(RfStatAccount)));
}

/* In the postmaster, at its start and after each crash: only then is it made. */
void
rf_stat_shared_create(void *lock)
{
	bool		found;

	area = ShmemInitStruct(AREA_NAME, rf_stat_shared_size(), &found);
	rf_stat_queue_attach(area);
	if (found)
		return;
	memset(area, 0, rf_stat_shared_size());
	area->lock = lock;
	area->naccounts = rf_max_accounts;
	for (int i = 0; i < area->naccounts; i++)
		clear_account(&area->accounts[i]);
	for (int i = 0; i < RF_MAX_DISPATCHERS; i++)
		clear_database(&area->databases[i]);
	for (int i = 0; i < RF_STAT_QUEUES; i++)
		rf_stat_queue_clear(&area->queues[i]);
	if (!IsUnderPostmaster)
	{
		rf_stat_file_read(area);
		on_shmem_exit(save, (Datum) 0);
	}
}

void
rf_stat_transfer(Oid database, Oid server, const RfStatTransfer *transfer)
{
	static RfStatAccount *last = NULL;
	RfStatAccount *account = last;

	if (account == NULL || account->server != server || account->database != database)
		account = obtain_account(database, server);
	if (account == NULL)
		return;
	last = account;
	pg_atomic_fetch_add_u64(&account->outcomes[transfer->class], 1);
	pg_atomic_fetch_add_u64(&account->latency[rf_histogram_bucket(transfer->took_us)], 1);
	pg_atomic_fetch_add_u64(&account->latency_sum_us, Max(transfer->took_us, 0));
	pg_atomic_fetch_add_u64(&account->sent_bytes, transfer->sent_bytes);
	pg_atomic_fetch_add_u64(&account->received_bytes, transfer->received_bytes);
	if (transfer->reused)
		pg_atomic_fetch_add_u64(&account->reused, 1);
	if (!is_failure(transfer->class))
		return;
	SpinLockAcquire(&account->failure_lock);
	account->failure.class = transfer->class;
	account->failure.http_status = transfer->http_status;
	strlcpy(account->failure.reason, transfer->reason, sizeof(account->failure.reason));
	account->failure.at = GetCurrentTimestamp();
	SpinLockRelease(&account->failure_lock);
}

void
rf_stat_job(Oid database, const char *queue, RfStatJob what, uint64 count)
{
	static RfStatDatabase *last = NULL;
	RfStatDatabase *place = last;

	if (count == 0)
		return;
	rf_stat_queue_count(database, queue, what, count);
	if (place == NULL || place->database != database)
		place = rf_stat_database_place(database);
	if (place == NULL)
		return;
	last = place;
	pg_atomic_fetch_add_u64(&place->jobs[what], count);
}

RfStatDatabase *
rf_stat_database_place(Oid database)
{
	RfStatDatabase *place;

	LWLockAcquire(area->lock, LW_EXCLUSIVE);
	place = find_database(database, true);
	LWLockRelease(area->lock);
	return place;
}

bool
rf_stat_next(Oid database, int *i, RfStatAccountView *view)
{
	bool		found = false;

	LWLockAcquire(area->lock, LW_SHARED);
	for (; *i < area->naccounts && !found; (*i)++)
	{
		RfStatAccount *account = &area->accounts[*i];

		if (account->database != database)
			continue;
		rf_stat_view(account, view);
		found = true;
	}
	LWLockRelease(area->lock);
	return found;
}

void
rf_stat_jobs(Oid database, uint64 jobs[RF_STAT_JOBS])
{
	RfStatDatabase *place;

	LWLockAcquire(area->lock, LW_SHARED);
	place = find_database(database, false);
	for (int i = 0; i < RF_STAT_JOBS; i++)
		jobs[i] = place != NULL ? pg_atomic_read_u64(&place->jobs[i]) : 0;
	LWLockRelease(area->lock);
}

void
rf_stat_reset(Oid database, Oid server)
{
	RfStatDatabase *place;

	LWLockAcquire(area->lock, LW_EXCLUSIVE);
	for (int i = 0; i < area->naccounts; i++)
	{
		RfStatAccount *account = &area->accounts[i];
		Oid			whose = account->server;

		if (account->database != database || (server != InvalidOid && whose != server))
			continue;
		clear_account(account);
		account->database = database;
		account->server = whose;
	}
	place = server == InvalidOid ? find_database(database, false) : NULL;
	if (place != NULL)
	{
		clear_database(place);
		place->database = database;
	}
	for (int i = 0; i < RF_STAT_QUEUES && server == InvalidOid; i++)
		if (area->queues[i].database == database)
			rf_stat_queue_reset(&area->queues[i]);
	LWLockRelease(area->lock);
}

void
rf_stat_forget_missing(Oid database, const Oid *servers, int nservers)
{
	LWLockAcquire(area->lock, LW_EXCLUSIVE);
	for (int i = 0; i < area->naccounts; i++)
	{
		RfStatAccount *account = &area->accounts[i];
		bool		exists = false;

		if (account->database != database)
			continue;
		for (int s = 0; s < nservers && !exists; s++)
			exists = servers[s] == account->server;
		if (!exists)
			clear_account(account);
	}
	LWLockRelease(area->lock);
}

void
rf_stat_view(RfStatAccount *account, RfStatAccountView *view)
{
	view->server = account->server;
	view->since = account->since;
	for (int i = 0; i < RF_OUTCOME_CLASSES; i++)
		view->outcomes[i] = pg_atomic_read_u64(&account->outcomes[i]);
	for (int i = 0; i < RF_HISTOGRAM_BUCKETS; i++)
		view->latency[i] = pg_atomic_read_u64(&account->latency[i]);
	view->latency_sum_us = pg_atomic_read_u64(&account->latency_sum_us);
	view->sent_bytes = pg_atomic_read_u64(&account->sent_bytes);
	view->received_bytes = pg_atomic_read_u64(&account->received_bytes);
	view->reused = pg_atomic_read_u64(&account->reused);
	SpinLockAcquire(&account->failure_lock);
	view->failed_at = account->failure.at;
	view->failed_class = account->failure.class;
	view->failed_status = account->failure.http_status;
	strlcpy(view->failed_reason, account->failure.reason, sizeof(view->failed_reason));
	SpinLockRelease(&account->failure_lock);
}

/* An ordinary stop only: after a crash nobody knows what the numbers are worth. */
static void
save(int code, Datum arg)
{
	if (code == 0 && area != NULL)
		rf_stat_file_write(area);
}

static RfStatAccount *
obtain_account(Oid database, Oid server)
{
	RfStatAccount *found = NULL;
	RfStatAccount *unused = NULL;

	LWLockAcquire(area->lock, LW_EXCLUSIVE);
	for (int i = 0; i < area->naccounts && found == NULL; i++)
	{
		RfStatAccount *account = &area->accounts[i];

		if (account->database == database && account->server == server)
			found = account;
		else if (account->database == InvalidOid && unused == NULL)
			unused = account;
	}
	if (found == NULL && unused != NULL)
	{
		found = unused;
		clear_account(found);
		found->server = server;
		found->database = database;
	}
	LWLockRelease(area->lock);
	return found;
}

/* Under the lock. */
static RfStatDatabase *
find_database(Oid database, bool make)
{
	RfStatDatabase *unused = NULL;

	for (int i = 0; i < RF_MAX_DISPATCHERS; i++)
	{
		RfStatDatabase *place = &area->databases[i];

		if (place->database == database)
			return place;
		if (place->database == InvalidOid && unused == NULL)
			unused = place;
	}
	if (!make || unused == NULL)
		return NULL;
	clear_database(unused);
	unused->database = database;
	return unused;
}

static void
clear_account(RfStatAccount *account)
{
	memset(account, 0, sizeof(*account));
	for (int i = 0; i < RF_OUTCOME_CLASSES; i++)
		pg_atomic_init_u64(&account->outcomes[i], 0);
	for (int i = 0; i < RF_HISTOGRAM_BUCKETS; i++)
		pg_atomic_init_u64(&account->latency[i], 0);
	pg_atomic_init_u64(&account->latency_sum_us, 0);
	pg_atomic_init_u64(&account->sent_bytes, 0);
	pg_atomic_init_u64(&account->received_bytes, 0);
	pg_atomic_init_u64(&account->reused, 0);
	SpinLockInit(&account->failure_lock);
	account->since = GetCurrentTimestamp();
}

static void
clear_database(RfStatDatabase *database)
{
	database->database = InvalidOid;
	for (int i = 0; i < RF_STAT_JOBS; i++)
		pg_atomic_init_u64(&database->jobs[i], 0);
	for (int kind = 0; kind < RF_STAT_EVENT_KINDS; kind++)
		for (int i = 0; i < RF_STAT_EVENTS; i++)
			pg_atomic_init_u64(&database->events[kind][i], 0);
}

static bool
is_failure(RfOutcomeClass class)
{
	return class != RF_OUTCOME_OK && class != RF_OUTCOME_MISS && class != RF_OUTCOME_PENDING;
}
