/*-------------------------------------------------------------------------
 *
 * stat_file.c
 *	  Counters over a clean restart.
 *
 * As pg_stat_statements does it: the postmaster writes a file when it stops and
 * removes it when it has read it.  The file belongs to this server and this
 * build: it is not read where it was written by another.
 *
 * IDENTIFICATION
 *	  src/shmem/stat_file.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <unistd.h>

#include "pgstat.h"
#include "storage/fd.h"

#include "shmem/stat_area.h"

#define FILE_NAME	PGSTAT_STAT_PERMANENT_DIRECTORY "/roleferry.stat"
#define MAGIC		0x52465374	/* "RFSt" */

typedef struct Header
{
	uint32		magic;
	uint32		abi;
	uint32		account_size;
	uint32		database_size;
	uint32		queue_size;
	uint32		naccounts;
	uint32		ndatabases;
	uint32		nqueues;
} Header;

typedef struct AccountRecord
{
	Oid			database;
	RfStatAccountView view;
} AccountRecord;

typedef struct DatabaseRecord
{
	Oid			database;
	uint64		jobs[RF_STAT_JOBS];
	uint64		events[RF_STAT_EVENT_KINDS][RF_STAT_EVENTS];
} DatabaseRecord;

typedef struct QueueRecord
{
	Oid			database;
	char		name[RF_QUEUE_NAME_MAX + 1];
	uint64		jobs[RF_STAT_JOBS];
} QueueRecord;

static Header expected_header(void);
static bool read_records(RfStatArea *area, FILE *file);
static bool read_queues(RfStatArea *area, FILE *file, uint32 nqueues);
static bool write_records(RfStatArea *area, FILE *file);
static bool write_queues(RfStatArea *area, FILE *file);
static void restore(RfStatAccount *account, const AccountRecord *record);

void
rf_stat_file_read(RfStatArea *area)
{
	FILE	   *file = AllocateFile(FILE_NAME, PG_BINARY_R);

	if (file == NULL)
	{
		if (errno != ENOENT)
			ereport(LOG,
					(errcode_for_file_access(),
					 errmsg("could not read file \"%s\": %m", FILE_NAME)));
		return;
	}
	if (!read_records(area, file))
		ereport(LOG,
				(errcode(ERRCODE_DATA_CORRUPTED),
				 errmsg("roleferry's statistics begin anew: file \"%s\" is not of this version", FILE_NAME)));
	(void) FreeFile(file);
	(void) unlink(FILE_NAME);
}

void
rf_stat_file_write(RfStatArea *area)
{
	FILE	   *file = AllocateFile(FILE_NAME ".tmp", PG_BINARY_W);
	bool		written = file != NULL && write_records(area, file);

	if (file != NULL && FreeFile(file) != 0)
		written = false;
	if (written)
		(void) durable_rename(FILE_NAME ".tmp", FILE_NAME, LOG);
	else
	{
		ereport(LOG,
				(errcode_for_file_access(),
				 errmsg("could not write file \"%s\": %m", FILE_NAME ".tmp")));
		(void) unlink(FILE_NAME ".tmp");
	}
}

static Header
expected_header(void)
{
	Header		header;

	memset(&header, 0, sizeof(header));
	header.magic = MAGIC;

	header.abi = RF_SHARED_ABI;
	header.account_size = sizeof(AccountRecord);
	header.database_size = sizeof(DatabaseRecord);
	header.queue_size = sizeof(QueueRecord);
	return header;
}

/* What does not fit any more is left out. */
static bool
read_records(RfStatArea *area, FILE *file)
{
	Header		expected = expected_header();
	Header		header;

	if (fread(&header, sizeof(header), 1, file) != 1)
		return false;
	expected.naccounts = header.naccounts;
	expected.ndatabases = header.ndatabases;
	expected.nqueues = header.nqueues;
	if (memcmp(&header, &expected, sizeof(header)) != 0)
		return false;
	for (uint32 i = 0; i < header.naccounts; i++)
	{
		AccountRecord record;

		if (fread(&record, sizeof(record), 1, file) != 1 ||
			record.view.failed_class > RF_OUTCOME_MALFORMED)
			return false;
		record.view.failed_reason[RF_REASON_MAX] = '\0';
		if (i < (uint32) area->naccounts)
			restore(&area->accounts[i], &record);
	}
	for (uint32 i = 0; i < header.ndatabases && i < RF_MAX_DISPATCHERS; i++)
	{
		DatabaseRecord record;

		if (fread(&record, sizeof(record), 1, file) != 1)
			return false;
		for (int j = 0; j < RF_STAT_JOBS; j++)
			pg_atomic_write_u64(&area->databases[i].jobs[j], record.jobs[j]);
		for (int kind = 0; kind < RF_STAT_EVENT_KINDS; kind++)
			for (int j = 0; j < RF_STAT_EVENTS; j++)
				pg_atomic_write_u64(&area->databases[i].events[kind][j], record.events[kind][j]);
		area->databases[i].database = record.database;
	}
	return read_queues(area, file, header.nqueues);
}

static bool
read_queues(RfStatArea *area, FILE *file, uint32 nqueues)
{
	for (uint32 i = 0; i < nqueues && i < RF_STAT_QUEUES; i++)
	{
		RfStatQueue *queue = &area->queues[i];
		QueueRecord record;

		if (fread(&record, sizeof(record), 1, file) != 1)
			return false;
		record.name[RF_QUEUE_NAME_MAX] = '\0';
		strlcpy(queue->name, record.name, sizeof(queue->name));
		for (int j = 0; j < RF_STAT_JOBS; j++)
			pg_atomic_write_u64(&queue->jobs[j], record.jobs[j]);
		queue->database = record.database;
	}
	return true;
}

/* No other process is left: nothing changes meanwhile. */
static bool
write_records(RfStatArea *area, FILE *file)
{
	Header		header = expected_header();
	bool		good;

	for (int i = 0; i < area->naccounts; i++)
		header.naccounts += area->accounts[i].database != InvalidOid ? 1 : 0;
	for (int i = 0; i < RF_MAX_DISPATCHERS; i++)
		header.ndatabases += area->databases[i].database != InvalidOid ? 1 : 0;
	for (int i = 0; i < RF_STAT_QUEUES; i++)
		header.nqueues += area->queues[i].database != InvalidOid ? 1 : 0;
	good = fwrite(&header, sizeof(header), 1, file) == 1;
	for (int i = 0; i < area->naccounts && good; i++)
	{
		RfStatAccount *account = &area->accounts[i];
		AccountRecord record;

		if (account->database == InvalidOid)
			continue;
		memset(&record, 0, sizeof(record));
		record.database = account->database;
		rf_stat_view(account, &record.view);
		good = fwrite(&record, sizeof(record), 1, file) == 1;
	}
	for (int i = 0; i < RF_MAX_DISPATCHERS && good; i++)
	{
		RfStatDatabase *database = &area->databases[i];
		DatabaseRecord record;

		if (database->database == InvalidOid)
			continue;
		memset(&record, 0, sizeof(record));
		record.database = database->database;
		for (int j = 0; j < RF_STAT_JOBS; j++)
			record.jobs[j] = pg_atomic_read_u64(&database->jobs[j]);
		for (int kind = 0; kind < RF_STAT_EVENT_KINDS; kind++)
			for (int j = 0; j < RF_STAT_EVENTS; j++)
				record.events[kind][j] = pg_atomic_read_u64(&database->events[kind][j]);
		good = fwrite(&record, sizeof(record), 1, file) == 1;
	}
	return good && write_queues(area, file);
}

static bool
write_queues(RfStatArea *area, FILE *file)
{
	bool		good = true;

	for (int i = 0; i < RF_STAT_QUEUES && good; i++)
	{
		RfStatQueue *queue = &area->queues[i];
		QueueRecord record;

		if (queue->database == InvalidOid)
			continue;
		memset(&record, 0, sizeof(record));
		record.database = queue->database;
		strlcpy(record.name, queue->name, sizeof(record.name));
		for (int j = 0; j < RF_STAT_JOBS; j++)
			record.jobs[j] = pg_atomic_read_u64(&queue->jobs[j]);
		good = fwrite(&record, sizeof(record), 1, file) == 1;
	}
	return good;
}

static void
restore(RfStatAccount *account, const AccountRecord *record)
{
	const RfStatAccountView *view = &record->view;

	for (int i = 0; i < RF_OUTCOME_CLASSES; i++)
		pg_atomic_write_u64(&account->outcomes[i], view->outcomes[i]);
	for (int i = 0; i < RF_HISTOGRAM_BUCKETS; i++)
		pg_atomic_write_u64(&account->latency[i], view->latency[i]);
	pg_atomic_write_u64(&account->latency_sum_us, view->latency_sum_us);
	pg_atomic_write_u64(&account->sent_bytes, view->sent_bytes);
	pg_atomic_write_u64(&account->received_bytes, view->received_bytes);
	pg_atomic_write_u64(&account->reused, view->reused);
	account->failure.at = view->failed_at;
	account->failure.class = view->failed_class;
	account->failure.http_status = view->failed_status;
	strlcpy(account->failure.reason, view->failed_reason, sizeof(account->failure.reason));
	account->since = view->since;
	account->server = view->server;
	account->database = record->database;
}
