/*-------------------------------------------------------------------------
 *
 * kept.c
 *	  Pages of people on their way to the cache.
 *
 * Sessions read answers, and hand over what they found; they wait for nothing,
 * and their rollback takes nothing back.  It is written a moment later, many
 * pages in one transaction that is not waited for.  What a search was paid for
 * is read and kept here, whether somebody waits for it or not.
 *
 * A cache may forget: what cannot be written now is dropped.
 *
 * IDENTIFICATION
 *	  src/worker/kept.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/namespace.h"
#include "storage/lmgr.h"
#include "utils/jsonb.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

#include "outbox/people_cache.h"
#include "outbox/statement.h"
#include "provider/people_json.h"
#include "shmem/call.h"
#include "worker/question.h"
#include "worker/state.h"

/* Others may come in this time. */
#define GATHER_US	INT64CONST(10000)

/* So many are written at once, and no more are waiting. */
#define BATCH_MAX	200
#define KEPT_MAX	1000

static void keep(RfDispatcher *d, RfKeptPage *page);
static bool is_same_page(const RfKeptPage *a, const RfKeptPage *b);
static void write_work(void *arg);

void
rf_kept_take(RfDispatcher *d, RfCallSlot *slot, const void *bytes, Size len)
{
	RfKeptPage	page;
	void	   *copy;

	if (bytes != NULL && d->active && list_length(d->kept) < KEPT_MAX)
	{
		copy = MemoryContextAlloc(d->kept_context, len);
		memcpy(copy, bytes, len);
		rf_kept_page_unpack(copy, &page);
		keep(d, &page);
	}
	rf_call_taken(slot);
}

/* The answer to a question that was paid for. */
void
rf_kept_page(RfDispatcher *d, RfFlight *flight, const RfPeoplePage *found)
{
	const RfPeopleQuery *query = &flight->question->query;
	MemoryContext old = MemoryContextSwitchTo(d->kept_context);
	RfBuffer	json = {0};
	RfKeptPage	page;

	memset(&page, 0, sizeof(page));
	rf_people_put_json(&json, found->people, found->npeople);
	if (!json.failed && list_length(d->kept) < KEPT_MAX)
	{
		rf_people_cache_digest(query, page.digest);
		page.page = flight->question->page;
		page.rows = (int) rf_people_page_rows(query, flight->entry->provider->people->page_size);
		page.more = found->more;
		page.fetched_at = GetCurrentTimestamp();
		page.account = pstrdup(flight->entry->name);
		page.domain = rf_text_to_server(pnstrdup(query->domain.data, query->domain.len));
		page.json = pstrdup(json.data);
		keep(d, &page);
	}
	rf_buffer_free(&json);
	MemoryContextSwitchTo(old);
}

/* Of the same page the later one. */
static void
keep(RfDispatcher *d, RfKeptPage *page)
{
	MemoryContext old = MemoryContextSwitchTo(d->kept_context);
	RfKeptPage *copy = palloc(sizeof(RfKeptPage));
	ListCell   *lc;

	*copy = *page;
	foreach(lc, d->kept)
	{
		if (!is_same_page(lfirst(lc), page))
			continue;
		lfirst(lc) = copy;
		break;
	}
	if (lc == NULL)
	{
		if (d->kept == NIL)
			d->kept_until_us = rf_gate_now_us() + GATHER_US;
		d->kept = lappend(d->kept, copy);
	}
	MemoryContextSwitchTo(old);
}

static bool
is_same_page(const RfKeptPage *a, const RfKeptPage *b)
{
	return memcmp(a->digest, b->digest, RF_DIGEST_BYTES) == 0 &&
		a->page == b->page && strcmp(a->account, b->account) == 0;
}

/* A page that will be in the cache in a moment. */
bool
rf_kept_holds(RfDispatcher *d, const uint8 *digest, int page)
{
	ListCell   *lc;

	foreach(lc, d->kept)
	{
		const RfKeptPage *kept = lfirst(lc);

		if (kept->page == page && memcmp(kept->digest, digest, RF_DIGEST_BYTES) == 0)
			return true;
	}
	return false;
}

/* When it is time, or all of them now. */
void
rf_kept_write(RfDispatcher *d, bool all)
{
	bool		missing;

	if (d->kept == NIL ||
		(!all && list_length(d->kept) < BATCH_MAX && rf_gate_now_us() < d->kept_until_us))
		return;
	(void) rf_session_run(write_work, d->kept, RF_COMMIT_LAZY, "keeping people", &missing);
	d->kept = NIL;
	MemoryContextReset(d->kept_context);
}

/* Where the table is locked, mail does not wait for a cache. */
static void
write_work(void *arg)
{
	Oid			table = get_relname_relid("search_cache", get_namespace_oid("roleferry", false));

	if (OidIsValid(table) && ConditionalLockRelationOid(table, RowExclusiveLock))
		rf_people_cache_write((List *) arg);
}
