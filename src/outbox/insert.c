/*-------------------------------------------------------------------------
 *
 * insert.c
 *	  A checked job becomes a row.
 *
 * A session inserts as the outbox's owner, in the caller's name; the row
 * carries its lane, so the trigger lets it pass.  The dispatcher inserts the
 * jobs that somebody waits for, claimed from the start: the transaction that
 * makes the row is also the durable mark that its mail may be out.
 *
 * IDENTIFICATION
 *	  src/outbox/insert.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "catalog/namespace.h"
#include "catalog/pg_class.h"
#include "catalog/pg_type.h"
#include "commands/sequence.h"
#include "miscadmin.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/syscache.h"
#include "utils/timestamp.h"

#include "outbox/append.h"
#include "outbox/depth.h"
#include "outbox/order.h"
#include "outbox/relation.h"
#include "outbox/statement.h"
#include "shmem/wake.h"
#include "outbox/insert.h"

/* Columns that both inserts fill, as parameters $1 to $15. */
#define COLUMNS \
	"id, args, role, queue, delivery, accounts, lane, priority, idempotency_key, order_key, tenant_key, run_at, task, mode, on_done"
#define COLUMN_TYPES \
	INT8OID, JSONBOID, TEXTOID, TEXTOID, TEXTOID, TEXTARRAYOID, INT8OID, INT2OID, TEXTOID, TEXTOID, TEXTOID, TIMESTAMPTZOID, TEXTOID, TEXTOID, TEXTOID
#define NCOLUMNS 15

typedef struct Row
{
	Datum		values[NCOLUMNS + 2];
	char		nulls[NCOLUMNS + 2];
} Row;

static RfKeyEnd take_key(const RfJobDraft *draft, int64 *id, RfJobProblem *problem);
static bool replace_waiting(const RfJobDraft *draft, int64 id);
static void insert_waiting(const RfJobDraft *draft, int64 id);
static void fill_times(Row *row, const RfJobDraft *draft);
static void fill_row(Row *row, int64 id, const RfJobDraft *draft);
static void set_text(Row *row, int column, const char *value);
static int64 id_of(const RfJobDraft *draft);
static int64 insert_dead_letter(const RfJobDraft *draft, int64 id, const char *state,
								const char *why);
static Oid	outbox_owner(void);

bool
rf_insert_waiting(const RfJobDraft *draft, int64 *id, bool *existed,
				  RfJobProblem *problem)
{
	RfKeyEnd	key;

	*id = id_of(draft);
	key = take_key(draft, id, problem);
	if (existed != NULL)
		*existed = key == RF_KEY_KNOWN;
	if (key == RF_KEY_TAKEN)
	{
		RfJobDraft	placed = *draft;

		rf_depth_enter(placed.effective_queue, draft->follows);
		rf_order_place(&placed, *id);
		if (!rf_append_waiting(&placed, *id))
			insert_waiting(&placed, *id);
	}
	return key != RF_KEY_CLASHES;
}

int64
rf_insert_dead_letter(const RfJobDraft *draft, const RfJobProblem *problem)
{
	Oid			userid;
	int			context;
	int64		id;

	rf_insert_begin_as_owner(&userid, &context);
	id = insert_dead_letter(draft, id_of(draft), "failed", problem->message);
	rf_insert_end_as_owner(userid, context);
	return id;
}

bool
rf_insert_suppressed(const RfJobDraft *draft, const char *why, int64 *id,
					 RfJobProblem *problem)
{
	RfKeyEnd	key;
	Oid			userid;
	int			context;

	*id = id_of(draft);
	key = take_key(draft, id, problem);
	if (key == RF_KEY_TAKEN)
	{
		rf_insert_begin_as_owner(&userid, &context);
		(void) insert_dead_letter(draft, *id, "suppressed", why);
		rf_insert_end_as_owner(userid, context);
	}
	return key != RF_KEY_CLASHES;
}

RfKeyEnd
rf_insert_running(const RfJobDraft *draft, int64 incarnation, int64 *id,
				  RfJobProblem *problem)
{
	static RfStatement insert = {
		"INSERT INTO roleferry.outbox (" COLUMNS ", worker, attempts, claimed_at)"
		" VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, 1, pg_catalog.now())",
		NCOLUMNS + 1, {COLUMN_TYPES, INT8OID}, NULL
	};
	RfKeyEnd	key = RF_KEY_TAKEN;
	Row			row;

	*id = id_of(draft);
	if (draft->idempotency_key != NULL)
		key = rf_idempotency_take(draft, id, problem);
	if (key != RF_KEY_TAKEN || rf_append_running(draft, *id, incarnation))
		return key;
	fill_row(&row, *id, draft);
	row.values[NCOLUMNS] = Int64GetDatum(incarnation);
	(void) rf_statement_run(&insert, row.values, row.nulls);
	return key;
}

void
rf_insert_find(const int64 *ids, int nids, bool *found)
{
	static RfStatement find = {
		"SELECT o.id FROM roleferry.outbox AS o WHERE o.id = ANY ($1)",
		1, {INT8ARRAYOID}, NULL
	};
	RfColumn	column;
	Datum		array;
	uint64		nfound;

	rf_column_init(&column, INT8OID);
	for (int i = 0; i < nids; i++)
	{
		found[i] = false;
		rf_column_add(&column, Int64GetDatum(ids[i]), false);
	}
	array = rf_column_array(&column);
	nfound = rf_statement_run(&find, &array, NULL);
	for (uint64 row = 0; row < nfound; row++)
	{
		bool		isnull;
		int64		id = DatumGetInt64(SPI_getbinval(SPI_tuptable->vals[row],
													 SPI_tuptable->tupdesc, 1, &isnull));

		for (int i = 0; i < nids; i++)
			found[i] |= ids[i] == id;
	}
}

void
rf_insert_begin_as_owner(Oid *userid, int *context)
{
	GetUserIdAndSecContext(userid, context);
	SetUserIdAndSecContext(outbox_owner(), *context | SECURITY_LOCAL_USERID_CHANGE);
	SPI_connect();
}

void
rf_insert_end_as_owner(Oid userid, int context)
{
	SPI_finish();
	SetUserIdAndSecContext(userid, context);
}

/*
 * As rf_idempotency_take(), and what is to be replaced and still can is.  What
 * has begun or ended stays as it is, and the key goes to the new job.
 */
static RfKeyEnd
take_key(const RfJobDraft *draft, int64 *id, RfJobProblem *problem)
{
	int64		own = *id;
	RfKeyEnd	key;
	Oid			userid;
	int			context;

	if (draft->idempotency_key == NULL)
		return RF_KEY_TAKEN;
	rf_insert_begin_as_owner(&userid, &context);
	key = rf_idempotency_take(draft, id, problem);
	if (key == RF_KEY_KNOWN && draft->on_conflict == RF_CONFLICT_REPLACE)
	{
		if (!replace_waiting(draft, *id))
		{
			*id = own;
			key = RF_KEY_TAKEN;
		}
		rf_idempotency_pass_on(draft, *id);
	}
	rf_insert_end_as_owner(userid, context);
	return key;
}

/*
 * False: it does not wait.  A claim that is under way is waited for.  What
 * activate() holds stays held.
 */
static bool
replace_waiting(const RfJobDraft *draft, int64 id)
{
	static RfStatement replace = {
		"UPDATE roleferry.outbox AS o SET args = $2, queue = $4, delivery = $5, accounts = $6, lane = $7, priority = $8,"
		" order_key = $10, tenant_key = $11, run_at = CASE WHEN o.run_at OPERATOR(pg_catalog.=) 'infinity' THEN o.run_at ELSE $12 END,"
		" task = $13, mode = $14, on_done = $15, expires_at = $16, max_attempts = $17, failures = 0, crashes = 0"
		" FROM roleferry.outbox AS was WHERE o.id OPERATOR(pg_catalog.=) $1 AND o.worker IS NULL"
		" AND was.id OPERATOR(pg_catalog.=) $1 RETURNING was.role, was.order_key",
		NCOLUMNS + 2, {COLUMN_TYPES, TIMESTAMPTZOID, INT4OID}, NULL
	};
	Row			row;
	char	   *role;
	char	   *order_key;

	fill_row(&row, id, draft);
	fill_times(&row, draft);
	if (rf_statement_run(&replace, row.values, row.nulls) == 0)
		return false;

	/*
	 * Whose turn it is, of its key and of the one it had, the claim finds
	 * out.
	 */
	rf_wake_note(draft->lane, draft->priority, draft->run_at);
	role = SPI_getvalue(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 1);
	order_key = SPI_getvalue(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 2);
	if (order_key != NULL)
		rf_wake_note(rf_order_lane(role, order_key), 0, 0);
	return true;
}

static void
insert_waiting(const RfJobDraft *draft, int64 id)
{
	static RfStatement insert = {
		"INSERT INTO roleferry.outbox (" COLUMNS ", expires_at, max_attempts)"
		" VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17)",
		NCOLUMNS + 2, {COLUMN_TYPES, TIMESTAMPTZOID, INT4OID}, NULL
	};
	Oid			userid;
	int			context;
	Row			row;

	rf_insert_begin_as_owner(&userid, &context);
	fill_row(&row, id, draft);
	fill_times(&row, draft);
	(void) rf_statement_run(&insert, row.values, row.nulls);
	rf_insert_end_as_owner(userid, context);
}

/* The two columns of a job that waits. */
static void
fill_times(Row *row, const RfJobDraft *draft)
{
	row->values[NCOLUMNS] = TimestampTzGetDatum(draft->expires_at);
	row->nulls[NCOLUMNS] = draft->expires_at == DT_NOEND ? 'n' : ' ';
	row->values[NCOLUMNS + 1] = Int32GetDatum(draft->max_attempts);
	row->nulls[NCOLUMNS + 1] = draft->max_attempts == 0 ? 'n' : ' ';
}

static void
fill_row(Row *row, int64 id, const RfJobDraft *draft)
{
	memset(row->nulls, ' ', sizeof(row->nulls));
	row->values[0] = Int64GetDatum(id);
	row->values[1] = JsonbPGetDatum(draft->args);
	set_text(row, 2, draft->role);
	set_text(row, 3, draft->effective_queue);
	set_text(row, 4, draft->effective_delivery);
	row->values[5] = rf_job_accounts_array(draft);
	row->values[6] = Int64GetDatum(draft->lane);
	row->values[7] = Int16GetDatum((int16) draft->priority);
	set_text(row, 8, draft->idempotency_key);
	set_text(row, 9, draft->order_key);
	set_text(row, 10, draft->tenant_key);
	row->values[11] = TimestampTzGetDatum(draft->run_at);
	set_text(row, 12, draft->task);
	set_text(row, 13, rf_job_mode_column(draft));
	set_text(row, 14, draft->on_done);
}

static void
set_text(Row *row, int column, const char *value)
{
	row->values[column] = value ? CStringGetTextDatum(value) : (Datum) 0;
	row->nulls[column] = value ? ' ' : 'n';
}

/* Taken beforehand, because the idempotency key needs it before the row does. */
static int64
id_of(const RfJobDraft *draft)
{
	return draft->id != 0 ? draft->id : rf_insert_next_id();
}

int64
rf_insert_next_id(void)
{
	return nextval_internal(rf_relation_oid(RF_RELATION_OUTBOX_ID_SEQ), false);
}

static int64
insert_dead_letter(const RfJobDraft *draft, int64 id, const char *state,
				   const char *why)
{
	static RfStatement insert = {
		"INSERT INTO roleferry.dead_letter (job_id, created_at, attempts, failures, priority, state,"
		" outcome, reason, task, role, queue, tenant_key, order_key, delivery, args, mode, on_done, idempotency_key)"
		" VALUES ($1, pg_catalog.now(), 0, 0, $2, $11,"
		" 'permanent', $3, $4, $5, $6, $7, $8, $9, $10, $12, $13, $14)",
		14, {INT8OID, INT2OID, TEXTOID, TEXTOID, TEXTOID, TEXTOID, TEXTOID, TEXTOID, TEXTOID, JSONBOID, TEXTOID, TEXTOID, TEXTOID, TEXTOID}, NULL
	};
	Row			row;

	memset(row.nulls, ' ', sizeof(row.nulls));
	row.values[0] = Int64GetDatum(id);
	row.values[1] = Int16GetDatum((int16) draft->priority);
	set_text(&row, 2, why);
	set_text(&row, 3, draft->task);
	set_text(&row, 4, draft->role);
	set_text(&row, 5, draft->queue);
	set_text(&row, 6, draft->tenant_key);
	set_text(&row, 7, draft->order_key);
	set_text(&row, 8, draft->delivery);
	row.values[9] = JsonbPGetDatum(draft->args);
	set_text(&row, 10, state);
	set_text(&row, 11, rf_job_mode_column(draft));
	set_text(&row, 12, draft->on_done);
	/* Of one that was refused the key is not its own. */
	set_text(&row, 13, strcmp(state, "suppressed") == 0 ? draft->idempotency_key : NULL);
	(void) rf_statement_run(&insert, row.values, row.nulls);
	return id;
}

static Oid
outbox_owner(void)
{
	Oid			schema = get_namespace_oid("roleferry", false);
	Oid			outbox = get_relname_relid("outbox", schema);
	HeapTuple	tuple = SearchSysCache1(RELOID, ObjectIdGetDatum(outbox));
	Oid			owner;

	if (!HeapTupleIsValid(tuple))
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_TABLE),
				 errmsg("roleferry.outbox does not exist")));
	owner = ((Form_pg_class) GETSTRUCT(tuple))->relowner;
	ReleaseSysCache(tuple);
	return owner;
}
