/*-------------------------------------------------------------------------
 *
 * search.c
 *	  One search of people: from the cache, from one of several accounts, or
 *	  from what the cache still remembers.
 *
 * Each account is asked page by page, and a page that is fresh in the cache is
 * not asked for again.  An account that fails hands over to the next, which
 * begins anew: pages of two accounts are never mixed.  When all have failed,
 * and one because it is down, closed or used up, pages of any age that is still
 * kept are given, marked as such; "nobody" is not among what is remembered so.
 *
 * IDENTIFICATION
 *	  src/api/search.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "utils/builtins.h"
#include "utils/timestamp.h"

#include "api/enrich.h"
#include "api/person.h"
#include "api/search.h"
#include "compat.h"
#include "outbox/people_cache.h"
#include "outbox/people_seen.h"
#include "outbox/statement.h"
#include "provider/people_json.h"
#include "settings.h"
#include "shmem/call.h"
#include "shmem/gate.h"

#define CACHE_SOURCE	"cache"

/* A search under way. */
typedef struct Run
{
	const RfSearch *search;
	ReturnSetInfo *result;
	uint8		digest[RF_DIGEST_BYTES];
	int64		found;			/* rows in the result */
	int64		dropped;		/* people of other firms */
	RfSeen		seen;
	RfFoundPerson *people;		/* to be enriched: they are no rows yet */
	int64		size;			/* room for them */
	const RfSearchAccount *finder;	/* who gave them */
} Run;

static bool uses_cache(void);
static bool try_accounts(Run *run, List *accounts, RfAskFailure *failure);
static List *order_accounts(Run *run);
static bool collect(Run *run, const RfSearchAccount *account, int64 deadline_us,
					RfAskFailure *failure);
static bool collect_stale(Run *run);
static void collect_stale_from(Run *run, const RfSearchAccount *account, RfCachedPage *page);
static void begin_anew(Run *run);
static void put_people(Run *run, const RfPerson *people, size_t npeople,
					   const char *source, TimestampTz fetched_at);
static void remember(Run *run, const RfPerson *person, const char *source, TimestampTz fetched_at);
static void enrich(Run *run, bool pays);
static void keep(Run *run, const RfSearchAccount *account, int number,
				 const RfPeoplePage *page);
static int	rows_for(const RfSearch *search, const RfSearchAccount *account);
static TimestampTz since(int minutes);
static bool wait_for_opening(const RfSearch *search, const RfAskFailure *failure);

void
rf_search_run(const RfSearch *search, ReturnSetInfo *result)
{
	Run			run = {0};
	RfAskFailure failure;

	run.search = search;
	run.result = result;
	if (uses_cache())
		rf_people_cache_digest(&search->query, run.digest);
	while (!try_accounts(&run, order_accounts(&run), &failure))
	{
		begin_anew(&run);
		if (wait_for_opening(search, &failure))
			continue;
		if (failure.is_down && collect_stale(&run))
		{
			enrich(&run, false);
			return;
		}
		rf_ask_raise(&failure);
	}
	enrich(&run, true);
	if (run.dropped > 0)
		ereport(NOTICE,
				(errmsg_plural("left out " INT64_FORMAT " person of another firm",
							   "left out " INT64_FORMAT " people of other firms",
							   (unsigned long) run.dropped, run.dropped)));
}

static bool
uses_cache(void)
{
	return Max(rf_search_stale, rf_search_fresh) > 0;
}

/*
 * The error is the first account's, who is asked for first; what can be done
 * about it is what any of them allows.
 */
static bool
try_accounts(Run *run, List *accounts, RfAskFailure *failure)
{
	int			left = list_length(accounts);
	bool		first = true;
	ListCell   *lc;

	foreach(lc, accounts)
	{
		int64		now_us = rf_gate_now_us();
		int64		share_us = Max(run->search->deadline_us - now_us, 0) / left--;
		RfAskFailure problem;

		begin_anew(run);
		if (collect(run, lfirst(lc), now_us + share_us, &problem))
			return true;
		if (first)
			*failure = problem;
		failure->is_down |= problem.is_down;
		if (problem.opens_in_us > 0 &&
			(failure->opens_in_us == 0 || problem.opens_in_us < failure->opens_in_us))
			failure->opens_in_us = problem.opens_in_us;
		if (!problem.elsewhere)
		{
			*failure = problem;
			return false;
		}
		first = false;
	}
	return false;
}

/* One whose first page is fresh comes first: nobody need be asked. */
static List *
order_accounts(Run *run)
{
	List	   *accounts = run->search->accounts;
	ListCell   *lc;

	if (rf_search_fresh == 0 || list_length(accounts) < 2)
		return accounts;
	foreach(lc, accounts)
	{
		RfSearchAccount *account = lfirst(lc);
		RfCachedPage page;

		if (!rf_people_cache_find(run->digest, account->name, 1, rows_for(run->search, account),
								  since(rf_search_fresh), &page))
			continue;
		rf_people_cache_free(&page);
		accounts = list_copy(accounts);
		accounts = list_delete_ptr(accounts, account);
		return lcons(account, accounts);
	}
	return accounts;
}

static bool
collect(Run *run, const RfSearchAccount *account, int64 deadline_us,
		RfAskFailure *failure)
{
	const RfSearch *search = run->search;
	RfQuestion	question;
	RfAsker		asker;
	bool		more = true;

	run->finder = account;
	memset(&question, 0, sizeof(question));
	question.server = account->server;
	question.query = search->query;
	rf_asker_init(&asker, account->name, account->provider, deadline_us);
	while (more && run->found < search->query.max_results)
	{
		RfCachedPage cached;
		RfPeoplePage page;

		question.page++;
		if (rf_search_fresh > 0 &&
			rf_people_cache_find(run->digest, account->name, question.page,
								 rows_for(search, account), since(rf_search_fresh), &cached))
		{
			more = cached.more;
			put_people(run, cached.people, cached.npeople, account->provider->name,
					   cached.fetched_at);
			rf_people_cache_free(&cached);
			continue;
		}
		if (!rf_asker_search(&asker, &question, &page, failure))
			return false;
		keep(run, account, question.page, &page);
		run->dropped += page.dropped;
		put_people(run, page.people, page.npeople, account->provider->name, 0);
		more = page.more;
		rf_people_page_free(&page);
	}
	return true;
}

/* Of the account whose first page is the youngest. */
static bool
collect_stale(Run *run)
{
	int			minutes = Max(rf_search_stale, rf_search_fresh);
	RfSearchAccount *best = NULL;
	TimestampTz best_at = 0;
	RfCachedPage page;
	ListCell   *lc;

	if (!uses_cache())
		return false;
	foreach(lc, run->search->accounts)
	{
		RfSearchAccount *account = lfirst(lc);

		if (!rf_people_cache_find(run->digest, account->name, 1, 0, since(minutes), &page))
			continue;
		if (page.npeople > 0 && (best == NULL || page.fetched_at > best_at))
		{
			best = account;
			best_at = page.fetched_at;
		}
		rf_people_cache_free(&page);
	}
	if (best == NULL ||
		!rf_people_cache_find(run->digest, best->name, 1, 0, since(minutes), &page))
		return false;
	run->finder = best;
	collect_stale_from(run, best, &page);
	return true;
}

static void
collect_stale_from(Run *run, const RfSearchAccount *account, RfCachedPage *page)
{
	int			minutes = Max(rf_search_stale, rf_search_fresh);
	int			number = 1;
	bool		more;

	do
	{
		more = page->more && page->rows == (int) account->provider->people->page_size;
		put_people(run, page->people, page->npeople, CACHE_SOURCE, page->fetched_at);
		rf_people_cache_free(page);
	} while (more && run->found < run->search->query.max_results &&
			 rf_people_cache_find(run->digest, account->name, ++number, 0, since(minutes), page));
}

static void
begin_anew(Run *run)
{
	tuplestore_clear(run->result->setResult);
	run->found = 0;
	run->dropped = 0;
	rf_seen_clear(&run->seen);
}

/* fetched_at: of what was remembered; 0: it was just asked for. */
static void
put_people(Run *run, const RfPerson *people, size_t npeople, const char *source,
		   TimestampTz fetched_at)
{
	for (size_t i = 0; i < npeople && run->found < run->search->query.max_results; i++)
	{
		if (!rf_seen_is_new(&run->seen, &people[i], CurrentMemoryContext))
			continue;
		if (run->search->enrich)
			remember(run, &people[i], source, fetched_at);
		else
			rf_person_put(run->result, &people[i], source, fetched_at);
		run->found++;
	}
}

static void
remember(Run *run, const RfPerson *person, const char *source, TimestampTz fetched_at)
{
	if (run->found == run->size)
	{
		run->size = Max(run->size * 2, 32);
		run->people = run->people == NULL ?
			MemoryContextAllocHuge(CurrentMemoryContext, run->size * sizeof(RfFoundPerson)) :
			repalloc_huge(run->people, run->size * sizeof(RfFoundPerson));
	}
	rf_enrich_copy(person, &run->people[run->found].person);
	run->people[run->found].source = source;
	run->people[run->found].fetched_at = fetched_at;
}

/* pays: otherwise only what was paid for before is filled in. */
static void
enrich(Run *run, bool pays)
{
	if (!run->search->enrich || run->found == 0)
		return;
	rf_enrich_people(run->people, (int) run->found, run->finder->name, run->finder->provider,
					 pays ? run->search->max_credits : 0, run->search->deadline_us);
	for (int64 i = 0; i < run->found; i++)
		rf_person_put(run->result, &run->people[i].person, run->people[i].source,
					  run->people[i].fetched_at);
}

/* What a search was paid for is kept by the dispatcher, who reads it first. */
static void
keep(Run *run, const RfSearchAccount *account, int number, const RfPeoplePage *page)
{
	RfBuffer	json = {0};
	RfKeptPage	kept;
	Size		len;
	void	   *bytes;

	if (account->provider->people->search_costs || !uses_cache())
		return;
	rf_people_put_json(&json, page->people, page->npeople);
	if (!json.failed)
	{
		memset(&kept, 0, sizeof(kept));
		memcpy(kept.digest, run->digest, sizeof(kept.digest));
		kept.page = number;
		kept.rows = rows_for(run->search, account);
		kept.more = page->more;
		kept.fetched_at = GetCurrentTimestamp();
		kept.account = account->name;
		kept.domain = rf_text_to_server(pnstrdup(run->search->query.domain.data,
												 run->search->query.domain.len));
		kept.people = rf_people_cache_jsonb(json.data);
		bytes = rf_kept_page_pack(&kept, &len);
		(void) rf_call_leave(RF_CALL_KEEP, bytes, len);
		pfree(bytes);
	}
	rf_buffer_free(&json);
}

static int
rows_for(const RfSearch *search, const RfSearchAccount *account)
{
	return (int) rf_people_page_rows(&search->query, account->provider->people->page_size);
}

/* Nothing is younger than now: a clock that was set back makes it no older. */
static TimestampTz
since(int minutes)
{
	return GetCurrentTimestamp() - (int64) minutes * USECS_PER_MINUTE;
}

/* True: one has opened by now, or should have. */
static bool
wait_for_opening(const RfSearch *search, const RfAskFailure *failure)
{
	int64		now_us = rf_gate_now_us();
	int64		until_us = now_us + failure->opens_in_us + 1000;

	if (!search->wait || failure->opens_in_us == 0 || until_us >= search->deadline_us)
		return false;
	while (rf_gate_now_us() < until_us)
		rf_call_nap(until_us);
	return true;
}
