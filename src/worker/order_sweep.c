/*-------------------------------------------------------------------------
 *
 * order_sweep.c
 *	  Order keys: looking for what nobody has told.
 *
 * What is remembered of a key is forgotten by each sweep, but for the job that
 * runs: so a smaller id that came without a hint is found within one.
 *
 * IDENTIFICATION
 *	  src/worker/order_sweep.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "worker/order_keys.h"
#include "worker/order_table.h"

#define KEYS_AT_ONCE	500		/* found by one sweep */
#define KEYS_MAX		100000	/* remembered, but for those that run */

static bool everywhere = true;
static bool began = false;
static int64 cursor = PG_INT64_MIN;

static void begin(void);
static void verify_running(void);
static void forget_marks(void);

void
rf_order_keys_look_everywhere(void)
{
	everywhere = true;
}

void
rf_order_keys_sweep(void)
{
	int64	   *lanes = palloc(KEYS_AT_ONCE * sizeof(int64));
	int			found;

	if (!began)
		begin();
	verify_running();
	forget_marks();
	if (everywhere)
		cursor = PG_INT64_MIN;
	do
	{
		found = rf_order_parked_lanes(cursor, lanes, KEYS_AT_ONCE);
		for (int i = 0; i < found; i++)
		{
			RfOrderEntry *entry = rf_order_table_enter(lanes[i], NULL, NULL);

			if (entry->key.running == 0)
				rf_order_table_look_at(entry);
		}
		cursor = found == KEYS_AT_ONCE ? lanes[found - 1] : PG_INT64_MIN;
	} while (everywhere && found == KEYS_AT_ONCE);
	everywhere = false;
}

/* What a dispatcher before this one has handed to a batch still runs. */
static void
begin(void)
{
	ListCell   *lc;

	foreach(lc, rf_order_in_batches())
	{
		const RfClaimedJob *job = lfirst(lc);

		rf_order_table_enter(job->order_lane, job->role, job->order_key)->key.running = job->id;
	}
	began = true;
}

/* Jobs whose end nobody has told us: of a batch, or after a claim in doubt. */
static void
verify_running(void)
{
	long		size = rf_order_table ? hash_get_num_entries(rf_order_table) : 0;
	RfOrderEntry **entries = palloc((size + 1) * sizeof(RfOrderEntry *));
	int64	   *ids = palloc((size + 1) * sizeof(int64));
	bool	   *running = palloc((size + 1) * sizeof(bool));
	int			count = 0;
	HASH_SEQ_STATUS seq;
	RfOrderEntry *entry;

	if (size == 0)
		return;
	hash_seq_init(&seq, rf_order_table);
	while ((entry = hash_seq_search(&seq)) != NULL)
	{
		if (entry->key.running == 0)
			continue;
		entries[count] = entry;
		ids[count++] = entry->key.running;
	}
	if (count == 0)
		return;
	rf_order_find_running(ids, count, running);
	for (int i = 0; i < count; i++)
		if (!running[i])
			rf_order_keys_ended(entries[i]->key.lane, ids[i]);
}

/* Too many of them: those that nothing depends on are forgotten altogether. */
static void
forget_marks(void)
{
	bool		too_many = rf_order_table != NULL && hash_get_num_entries(rf_order_table) > KEYS_MAX;
	HASH_SEQ_STATUS seq;
	RfOrderEntry *entry;

	if (rf_order_table == NULL)
		return;
	hash_seq_init(&seq, rf_order_table);
	while ((entry = hash_seq_search(&seq)) != NULL)
	{
		entry->key.low = entry->key.last = 0;
		if (entry->key.running != 0)
			continue;
		entry->key.chosen = 0;
		if (too_many && !entry->to_do && entry->strand == NULL)
			rf_order_table_forget(entry);
	}
}
