/*-------------------------------------------------------------------------
 *
 * sweep.c
 *	  Looking through the outbox for what nobody announced.
 *
 * Commits announce their jobs by a wake-up.  What comes otherwise (COMMIT
 * PREPARED, replication, a trigger that was off) is found here: one index
 * probe for each strand, one in all when the outbox is empty.
 *
 * IDENTIFICATION
 *	  src/outbox/sweep.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"

#include "outbox/dead_columns.h"
#include "outbox/found.h"
#include "outbox/job.h"
#include "outbox/lookup_job.h"
#include "outbox/order.h"
#include "outbox/statement.h"
#include "outbox/sweep.h"
#include "shmem/shared.h"

#define UNCHECKED_BATCH	100
#define STRANDS_BATCH	500

static uint64 tell_queues(uint64 count, RfQueueTally tally, RfStatJob what);
static void record_orphans(Datum dead, int attempt_table);
static void found_strand(RfLanes *lanes, HeapTuple tuple, TupleDesc desc,
						 RfStrandFound found, void *context, Datum *position);
static void tell_of_first(RfStrand *strand, HeapTuple tuple, TupleDesc desc,
						  int column, RfStrandFound found, void *context);
static void check_row(HeapTuple tuple, TupleDesc desc, RfKeyFreed freed);
static void mark_checked(int64 id, const RfJobDraft *draft);
static void bury(int64 id, const char *reason);
static char *text_at(HeapTuple tuple, TupleDesc desc, int column);
static Datum dead_incarnations(void);

void
rf_sweep_strands(RfLanes *lanes, RfStrandFound found, void *context)
{
#define FIRST_OF_STRAND(after) \
	"SELECT c.lane, c.priority, c.run_at, c.id, c.accounts, c.task, c.role, c.queue, c.mode FROM roleferry.outbox AS c" \
	" WHERE (c.lane, c.priority) > " after " AND c.worker IS NULL" \
	" ORDER BY c.lane, c.priority, c.run_at, c.id LIMIT 1"
	static RfStatement next = {
		"WITH RECURSIVE strand AS ((" FIRST_OF_STRAND("($1, $2)") ") UNION ALL"
		" SELECT n.* FROM strand AS s, LATERAL (" FIRST_OF_STRAND("(s.lane, s.priority)") ") AS n)"
		" SELECT * FROM strand LIMIT " CppAsString2(STRANDS_BATCH),
		2, {INT8OID, INT2OID}, NULL
	};
	Datum		values[2];
	uint64		nfound;

	values[0] = Int64GetDatum(-1);	/* below 0 they are parked: order.h */
	values[1] = Int16GetDatum(PG_INT16_MAX);
	rf_lanes_sweep_begin(lanes);
	do
	{
		nfound = rf_statement_run(&next, values, NULL);
		for (uint64 i = 0; i < nfound; i++)
			found_strand(lanes, SPI_tuptable->vals[i], SPI_tuptable->tupdesc, found, context, values);
		SPI_freetuptable(SPI_tuptable);
	} while (nfound == STRANDS_BATCH);
	rf_lanes_sweep_end(lanes);
}

void
rf_sweep_first_job(RfStrand *strand, RfStrandFound found, void *context)
{
	static RfStatement first = {
		"SELECT c.accounts, c.task, c.role, c.queue, c.mode FROM roleferry.outbox AS c"
		" WHERE c.lane = $1 AND c.priority = $2 AND c.worker IS NULL AND (c.run_at, c.id) >= ($3, $4)"
		" ORDER BY c.run_at, c.id LIMIT 1",
		4, {INT8OID, INT2OID, TIMESTAMPTZOID, INT8OID}, NULL
	};
	Datum		values[4];

	values[0] = Int64GetDatum(strand->lane);
	values[1] = Int16GetDatum((int16) strand->priority);
	values[2] = TimestampTzGetDatum(strand->run_at);
	values[3] = Int64GetDatum(strand->id);
	if (rf_statement_run(&first, values, NULL) > 0)
		tell_of_first(strand, SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 1, found, context);
}

bool
rf_sweep_unchecked(RfKeyFreed freed)
{
	static RfStatement find = {
		"SELECT o.id, o.task, o.role, o.queue, o.tenant_key, o.order_key, o.delivery, o.run_at, o.priority, o.args, o.mode,"
		" o.on_done"
		" FROM roleferry.outbox AS o WHERE o.lane = 0 AND o.worker IS NULL"
		" ORDER BY o.priority, o.run_at, o.id LIMIT " CppAsString2(UNCHECKED_BATCH) " FOR UPDATE SKIP LOCKED",
		0, {0}, NULL
	};
	uint64		found = rf_statement_run(&find, NULL, NULL);
	SPITupleTable *rows = SPI_tuptable;

	for (uint64 i = 0; i < found; i++)
		check_row(rows->vals[i], rows->tupdesc, freed);
	return found == UNCHECKED_BATCH;
}

void
rf_sweep_expired(RfQueueTally tally, RfKeyFreed freed)
{
	static RfStatement expire = {
		"WITH gone AS (DELETE FROM roleferry.outbox AS o WHERE o.id = ANY (ARRAY("
		"SELECT c.id FROM roleferry.outbox AS c WHERE c.expires_at < pg_catalog.now() AND c.worker IS NULL"
		" LIMIT 500 FOR UPDATE SKIP LOCKED)) RETURNING o.*)"
		" INSERT INTO roleferry.dead_letter (state, reason, " RF_DEAD_COLUMNS ")"
		" SELECT 'expired', 'not sent before ' || g.expires_at, " RF_DEAD_VALUES " FROM gone AS g"
		" RETURNING queue, role, order_key",
		0, {0}, NULL
	};
	uint64		expired = rf_statement_run(&expire, NULL, NULL);

	(void) tell_queues(expired, tally, RF_STAT_OTHER);
	for (uint64 i = 0; i < expired; i++)
	{
		char	   *order_key = text_at(SPI_tuptable->vals[i], SPI_tuptable->tupdesc, 3);

		if (order_key != NULL)
			freed(rf_order_lane(text_at(SPI_tuptable->vals[i], SPI_tuptable->tupdesc, 2), order_key), 0);
	}
}

void
rf_sweep_orphans(RfOrphans *orphans, int attempt_table, RfQueueTally tally)
{
	static RfStatement unknown = {
		"WITH gone AS (DELETE FROM roleferry.outbox AS o"
		" WHERE o.worker = ANY ($1) AND o.delivery IS DISTINCT FROM 'at_least_once'"
		" AND o.mode IS DISTINCT FROM 'capture' RETURNING o.*)"
		" INSERT INTO roleferry.dead_letter (state, outcome, reason, " RF_DEAD_COLUMNS ")"
		" SELECT 'unknown', 'ambiguous', 'the dispatcher died while the mail may have been on its way', "
		RF_DEAD_VALUES " FROM gone AS g RETURNING queue",
		1, {INT8ARRAYOID}, NULL
	};
	static RfStatement quarantine = {
		"WITH gone AS (DELETE FROM roleferry.outbox AS o"
		" WHERE o.worker = ANY ($1) AND o.lane = " CppAsString2(RF_LANE_ALONE) " RETURNING o.*)"
		" INSERT INTO roleferry.dead_letter (state, outcome, reason, " RF_DEAD_COLUMNS ")"
		" SELECT 'quarantined', 'ambiguous', 'the dispatcher died again while it ran this job alone', "
		RF_DEAD_VALUES " FROM gone AS g RETURNING queue",
		1, {INT8ARRAYOID}, NULL
	};
	static RfStatement wait = {
		"UPDATE roleferry.outbox AS o SET worker = NULL, claimed_at = NULL, crashes = o.crashes + 1,"
		" lane = " CppAsString2(RF_LANE_ALONE) ", run_at = pg_catalog.now() WHERE o.worker = ANY ($1) RETURNING o.queue",
		1, {INT8ARRAYOID}, NULL
	};

	/* Nothing left for these: what pays for them is a batch of its own. */
	static RfStatement gathered = {
		"UPDATE roleferry.outbox AS o SET worker = NULL, claimed_at = NULL, attempts = o.attempts - 1,"
		" crashes = o.crashes + 1 WHERE o.worker = ANY ($1) AND (o.task IN (" RF_LOOKUP_TASKS ") OR o.args ? '" RF_FOUND_MEMBER "')"
		" AND o.crashes < " CppAsString2(RF_LOOKUP_CRASHES),
		1, {INT8ARRAYOID}, NULL
	};
	Datum		dead = dead_incarnations();

	memset(orphans, 0, sizeof(*orphans));
	if (dead == (Datum) 0)
		return;
	(void) rf_statement_run(&gathered, &dead, NULL);
	record_orphans(dead, attempt_table);
	orphans->unknown = tell_queues(rf_statement_run(&unknown, &dead, NULL), tally, RF_STAT_UNKNOWN);
	orphans->quarantined = tell_queues(rf_statement_run(&quarantine, &dead, NULL), tally, RF_STAT_OTHER);
	orphans->waiting = tell_queues(rf_statement_run(&wait, &dead, NULL), tally, RF_STAT_RETRIED);
}

/* Of the rows that a statement has returned. */
static uint64
tell_queues(uint64 count, RfQueueTally tally, RfStatJob what)
{
	for (uint64 i = 0; i < count; i++)
	{
		char	   *queue = text_at(SPI_tuptable->vals[i], SPI_tuptable->tupdesc, 1);

		tally(queue ? queue : "", what);
	}
	return count;
}

/* What was under way was an attempt, too. */
static void
record_orphans(Datum dead, int attempt_table)
{
#define RECORD_INTO(table) { \
		"INSERT INTO roleferry." table " (job_id, attempt, started_at, took, outcome, verdict, reason)" \
		" SELECT o.id, o.attempts, s.started_at, pg_catalog.clock_timestamp() - s.started_at, 'ambiguous'," \
		" CASE WHEN o.delivery IS DISTINCT FROM 'at_least_once' THEN 'unknown'" \
		" WHEN o.lane = " CppAsString2(RF_LANE_ALONE) " THEN 'quarantined' ELSE 'retry' END," \
		" 'the dispatcher died while the job was under way'" \
		" FROM roleferry.outbox AS o CROSS JOIN LATERAL (SELECT coalesce(o.claimed_at, o.created_at)) AS s (started_at)" \
		" WHERE o.worker = ANY ($1)", \
		1, {INT8ARRAYOID}, NULL}
	static RfStatement statements[3] = {
		RECORD_INTO("attempt_0"),
		RECORD_INTO("attempt_1"),
		RECORD_INTO("attempt_2")
	};

	(void) rf_statement_run(&statements[attempt_table], &dead, NULL);
}

/* Sets the strand's mark, and leaves in position where to look for the next. */
static void
found_strand(RfLanes *lanes, HeapTuple tuple, TupleDesc desc,
			 RfStrandFound found, void *context, Datum *position)
{
	bool		isnull;
	int64		lane = DatumGetInt64(SPI_getbinval(tuple, desc, 1, &isnull));
	int16		priority = DatumGetInt16(SPI_getbinval(tuple, desc, 2, &isnull));
	int64		run_at = DatumGetTimestampTz(SPI_getbinval(tuple, desc, 3, &isnull));
	int64		id = DatumGetInt64(SPI_getbinval(tuple, desc, 4, &isnull));
	RfStrand   *strand;

	position[0] = Int64GetDatum(lane);
	position[1] = Int16GetDatum(priority);

	/* What was not checked is not to be claimed: see rf_sweep_unchecked(). */
	if (lane == RF_LANE_UNCHECKED)
		return;
	strand = rf_lanes_sweep_found(lanes, lane, priority, run_at, id);
	if (strand == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_OUT_OF_MEMORY), errmsg("out of memory")));
	if (strand->route < 0)
		tell_of_first(strand, tuple, desc, 5, found, context);
}

/* Accounts, task, role, queue and mode stand from that column on. */
static void
tell_of_first(RfStrand *strand, HeapTuple tuple, TupleDesc desc, int column,
			  RfStrandFound found, void *context)
{
	RfStrandJob first;
	bool		isnull;
	Datum		accounts = SPI_getbinval(tuple, desc, column, &isnull);

	first.accounts = rf_name_list(accounts, isnull);
	first.task = text_at(tuple, desc, column + 1);
	first.role = text_at(tuple, desc, column + 2);
	first.queue = text_at(tuple, desc, column + 3);
	first.mode = rf_mode_of_text(text_at(tuple, desc, column + 4));
	if (first.queue == NULL)
		first.queue = "";
	found(strand, &first, context);
}

static void
check_row(HeapTuple tuple, TupleDesc desc, RfKeyFreed freed)
{
	RfJobDraft	draft;
	RfJobProblem problem;
	bool		isnull;
	int64		id = DatumGetInt64(SPI_getbinval(tuple, desc, 1, &isnull));

	memset(&draft, 0, sizeof(draft));
	draft.task = text_at(tuple, desc, 2);
	draft.role = text_at(tuple, desc, 3);
	draft.queue = text_at(tuple, desc, 4);
	draft.tenant_key = text_at(tuple, desc, 5);
	draft.order_key = text_at(tuple, desc, 6);
	draft.delivery = text_at(tuple, desc, 7);
	draft.run_at = DatumGetTimestampTz(SPI_getbinval(tuple, desc, 8, &isnull));
	draft.priority = DatumGetInt16(SPI_getbinval(tuple, desc, 9, &isnull));
	draft.args = DatumGetJsonbP(SPI_getbinval(tuple, desc, 10, &isnull));
	draft.mode = rf_mode_of_text(text_at(tuple, desc, 11));
	draft.on_done = text_at(tuple, desc, 12);

	/* One that makes the check itself fail must not stop the others. */
	if (rf_job_check_guarded(&draft, &problem))
	{
		mark_checked(id, &draft);
		return;
	}
	if (problem.passes)
		return;					/* the next sweep asks again */
	bury(id, problem.message);
	if (draft.order_key != NULL)
		freed(rf_order_lane(draft.role, draft.order_key), id);
}

static void
mark_checked(int64 id, const RfJobDraft *draft)
{
	static RfStatement mark = {
		"UPDATE roleferry.outbox AS o SET lane = $2, queue = $3, delivery = $4, accounts = $5, priority = $6"
		" WHERE o.id = $1 AND o.worker IS NULL",
		6, {INT8OID, INT8OID, TEXTOID, TEXTOID, TEXTARRAYOID, INT2OID}, NULL
	};
	Datum		values[6];
	RfColumn	accounts;
	ListCell   *lc;

	rf_column_init(&accounts, TEXTOID);
	foreach(lc, draft->accounts)
		rf_column_add(&accounts, CStringGetTextDatum((char *) lfirst(lc)), false);
	values[0] = Int64GetDatum(id);
	values[1] = Int64GetDatum(draft->lane);
	values[2] = CStringGetTextDatum(draft->effective_queue);
	values[3] = CStringGetTextDatum(draft->effective_delivery);
	values[4] = rf_column_array(&accounts);
	values[5] = Int16GetDatum((int16) draft->priority);
	(void) rf_statement_run(&mark, values, NULL);
}

static void
bury(int64 id, const char *reason)
{
	static RfStatement bury_row = {
		"WITH gone AS (DELETE FROM roleferry.outbox AS o WHERE o.id = $1 AND o.worker IS NULL RETURNING o.*)"
		" INSERT INTO roleferry.dead_letter (state, outcome, reason, " RF_DEAD_COLUMNS ")"
		" SELECT 'failed', 'permanent', $2, " RF_DEAD_VALUES " FROM gone AS g",
		2, {INT8OID, TEXTOID}, NULL
	};
	Datum		values[2];

	values[0] = Int64GetDatum(id);
	values[1] = CStringGetTextDatum(reason);
	(void) rf_statement_run(&bury_row, values, NULL);
}

static char *
text_at(HeapTuple tuple, TupleDesc desc, int column)
{
	bool		isnull;
	Datum		value = SPI_getbinval(tuple, desc, column, &isnull);

	return isnull ? NULL : TextDatumGetCString(value);
}

/* int8[] of the incarnations that hold jobs but live no more; 0: none. */
static Datum
dead_incarnations(void)
{
	static RfStatement holders = {
		"SELECT DISTINCT o.worker FROM roleferry.outbox AS o WHERE o.worker > 0",
		0, {0}, NULL
	};
	uint64		found = rf_statement_run(&holders, NULL, NULL);
	RfColumn	dead;
	int			count = 0;

	rf_column_init(&dead, INT8OID);
	for (uint64 i = 0; i < found; i++)
	{
		bool		isnull;
		Datum		worker = SPI_getbinval(SPI_tuptable->vals[i],
										   SPI_tuptable->tupdesc, 1, &isnull);

		if (rf_shared_incarnation_alive(MyDatabaseId, (uint64) DatumGetInt64(worker)))
			continue;
		rf_column_add(&dead, worker, false);
		count++;
	}
	return count > 0 ? rf_column_array(&dead) : (Datum) 0;
}
