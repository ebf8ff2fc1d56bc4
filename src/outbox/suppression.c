/*-------------------------------------------------------------------------
 *
 * suppression.c
 *	  Is this address one that gets no mail?
 *
 * Asked for every mail, when it is enqueued and when it is claimed, so without
 * a statement: an empty table costs a look at its size, any other the address's
 * HMAC and one index probe.  Addresses are known by their HMAC only, so that one
 * that was forgotten is found the same way.
 *
 * IDENTIFICATION
 *	  src/outbox/suppression.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/table.h"
#include "access/xact.h"
#include "catalog/pg_type.h"
#include "common/hmac.h"
#include "common/sha2.h"
#include "storage/bufmgr.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"

#include "compat.h"
#include "outbox/email_args.h"
#include "outbox/relation.h"
#include "outbox/statement.h"
#include "outbox/suppression.h"

/* A question about one mail: the table, and what was read once. */
typedef struct Probe
{
	Relation	relation;
	Oid			index;
	Snapshot	snapshot;
	const char *stream;
	bool		has_key;
	uint8		key[RF_ADDRESS_KEY_BYTES];
} Probe;

static void record(int64 job_id, List *taken_off);
static bool read_key(Snapshot snapshot, uint8 key[RF_ADDRESS_KEY_BYTES]);
static void hash_address(const uint8 *key, const char *folded, uint8 *out);
static char *find_scope(Probe *probe, const char *folded);
static char *ask(Probe *probe, Jsonb *args, List **taken_off);
static List *take_off(Probe *probe, const RfText *list, size_t count, List *taken_off);

char *
rf_suppression_of_mail(Jsonb *args, List **taken_off)
{
	Probe		probe = {0};
	char	   *why = NULL;
	Oid			table;

	if (taken_off != NULL)
		*taken_off = NIL;
	table = rf_relation_find(RF_RELATION_SUPPRESSION);
	if (!OidIsValid(table))
		return NULL;			/* this database's extension is none of ours */
	probe.relation = table_open(table, AccessShareLock);
	if (RelationGetNumberOfBlocks(probe.relation) > 0)
	{
		probe.index = rf_primary_key(probe.relation);
		probe.snapshot = RegisterSnapshot(GetLatestSnapshot());
		probe.has_key = read_key(probe.snapshot, probe.key);
		if (probe.has_key)
			why = ask(&probe, args, taken_off);
		UnregisterSnapshot(probe.snapshot);
	}
	table_close(probe.relation, NoLock);	/* for the next mail */
	return why;
}

bool
rf_suppression_address_key(const char *folded, uint8 key[RF_ADDRESS_KEY_BYTES])
{
	Snapshot	snapshot = RegisterSnapshot(GetLatestSnapshot());
	uint8		secret[RF_ADDRESS_KEY_BYTES];
	bool		found;

	found = read_key(snapshot, secret);
	if (found)
		hash_address(secret, folded, key);
	UnregisterSnapshot(snapshot);
	return found;
}

void
rf_suppression_log_key(const char *to_addr, char name[RF_LOG_KEY_MAX + 1])
{
	static RfStatement make = {
		"SELECT roleferry.make_suppression_key()", 0, {0}, NULL
	};
	char		folded[RF_EVENT_ADDRESS_MAX + 1];
	uint8		key[RF_ADDRESS_KEY_BYTES];

	name[0] = '\0';
	if (!rf_event_fold_address(to_addr, strlen(to_addr), folded))
		return;
	if (!rf_suppression_address_key(folded, key))
	{
		(void) rf_statement_run(&make, NULL, NULL);
		CommandCounterIncrement();
		if (!rf_suppression_address_key(folded, key))
			return;
	}
	for (int i = 0; i < RF_LOG_KEY_MAX / 2; i++)
		snprintf(name + 2 * i, 3, "%02x", key[i]);
}

char *
rf_suppression_at_claim(RfClaimedJob *job, List **taken_off)
{
	MemoryContext old = MemoryContextSwitchTo(GetMemoryChunkContext(job));
	bool		mail = strcmp(job->task, "send_email") == 0;
	char	   *why = mail ? rf_suppression_of_mail(job->args, taken_off) : NULL;

	MemoryContextSwitchTo(old);
	if (mail && why == NULL)
		record(job->id, *taken_off);
	return why;
}

static void
record(int64 job_id, List *taken_off)
{
	static RfStatement insert = {
		"INSERT INTO roleferry.message_life AS l (job_id, taken_off) VALUES ($1, $2)"
		" ON CONFLICT (job_id) DO UPDATE SET taken_off = excluded.taken_off",
		2, {INT8OID, TEXTARRAYOID}, NULL
	};
	RfColumn	column;
	Datum		values[2];
	ListCell   *lc;

	if (taken_off == NIL)
		return;
	rf_column_init(&column, TEXTOID);
	foreach(lc, taken_off)
		rf_column_add_text(&column, lfirst(lc));
	values[0] = Int64GetDatum(job_id);
	values[1] = rf_column_array(&column);
	(void) rf_statement_run(&insert, values, NULL);
}

static bool
read_key(Snapshot snapshot, uint8 key[RF_ADDRESS_KEY_BYTES])
{
	Oid			table = rf_relation_find(RF_RELATION_SUPPRESSION_KEY);
	Relation	relation;
	SysScanDesc scan;
	HeapTuple	row;
	bool		found = false;

	if (!OidIsValid(table))
		return false;
	relation = table_open(table, AccessShareLock);
	scan = systable_beginscan(relation, InvalidOid, false, snapshot, 0, NULL);
	row = systable_getnext(scan);
	if (HeapTupleIsValid(row))
	{
		bool		isnull;
		bytea	   *value = DatumGetByteaPP(heap_getattr(row, 2, RelationGetDescr(relation), &isnull));

		found = !isnull && VARSIZE_ANY_EXHDR(value) == RF_ADDRESS_KEY_BYTES;
		if (found)
			memcpy(key, VARDATA_ANY(value), RF_ADDRESS_KEY_BYTES);
	}
	systable_endscan(scan);
	table_close(relation, AccessShareLock);
	return found;
}

static void
hash_address(const uint8 *key, const char *folded, uint8 *out)
{
	pg_hmac_ctx *context = pg_hmac_create(PG_SHA256);

	if (context == NULL ||
		pg_hmac_init(context, key, RF_ADDRESS_KEY_BYTES) < 0 ||
		pg_hmac_update(context, (const uint8 *) folded, strlen(folded)) < 0 ||
		pg_hmac_final(context, out, PG_SHA256_DIGEST_LENGTH) < 0)
		elog(ERROR, "could not hash an address");
	pg_hmac_free(context);
}

/* The scope that stops it, palloc'd; NULL: none does. */
static char *
find_scope(Probe *probe, const char *folded)
{
	char		value[VARHDRSZ + RF_ADDRESS_KEY_BYTES];
	char	   *stops = NULL;
	ScanKeyData key;
	SysScanDesc scan;
	HeapTuple	row;

	SET_VARSIZE(value, sizeof(value));
	hash_address(probe->key, folded, (uint8 *) VARDATA(value));
	ScanKeyInit(&key, 1, BTEqualStrategyNumber, F_BYTEAEQ, PointerGetDatum(value));
	scan = systable_beginscan(probe->relation, probe->index, OidIsValid(probe->index),
							  probe->snapshot, 1, &key);
	while (stops == NULL && HeapTupleIsValid(row = systable_getnext(scan)))
	{
		bool		isnull;
		TupleDesc	desc = RelationGetDescr(probe->relation);
		char	   *scope = TextDatumGetCString(heap_getattr(row, 2, desc, &isnull));

		if (strcmp(scope, "global") == 0 || strcmp(scope, probe->stream) == 0)
			stops = psprintf("the recipient is suppressed (%s): %s",
							 strcmp(scope, "global") == 0 ? "global" : "this stream",
							 TextDatumGetCString(heap_getattr(row, 3, desc, &isnull)));
	}
	systable_endscan(scan);
	return stops;
}

static char *
ask(Probe *probe, Jsonb *args, List **taken_off)
{
	char		folded[RF_EVENT_ADDRESS_MAX + 1];
	char	   *to_addr = rf_email_args_text(args, "to_addr");
	char	   *stream = rf_email_args_text(args, "stream");
	char	   *why;
	RfEmail		email;
	RfFieldError error;
	List	   *accounts;

	probe->stream = stream != NULL ? stream : RF_DEFAULT_STREAM;
	if (to_addr == NULL || !rf_event_fold_address(to_addr, strlen(to_addr), folded))
		return NULL;			/* whoever checks the mail says so */
	why = find_scope(probe, folded);
	if (why != NULL || taken_off == NULL ||
		!rf_email_from_args(args, &email, &accounts, &error))
		return why;
	*taken_off = take_off(probe, email.cc, email.ncc, *taken_off);
	*taken_off = take_off(probe, email.bcc, email.nbcc, *taken_off);
	return NULL;
}

static List *
take_off(Probe *probe, const RfText *list, size_t count, List *taken_off)
{
	char		folded[RF_EVENT_ADDRESS_MAX + 1];

	for (size_t i = 0; i < count; i++)
		if (rf_event_fold_address(list[i].data, list[i].len, folded) &&
			find_scope(probe, folded) != NULL)
			taken_off = lappend(taken_off, pstrdup(folded));
	return taken_off;
}
