/*-------------------------------------------------------------------------
 *
 * search.c
 *	  A search of people as a job, until it has found them.
 *
 * It asks page by page, one claim for each, as a mail goes on to its next
 * account; at another account it begins anew, since pages of two are never
 * mixed.  All this is in memory, and lost with the dispatcher: the job then
 * searches again, from the pages that the cache has.  When everybody is found,
 * the row is given what was found, and the job is claimed once more: from
 * there on it is one that enriches people (enrich_kind.c), whether there is
 * anything to pay for or not.
 *
 * IDENTIFICATION
 *	  src/worker/search.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <time.h>

#include "lib/stringinfo.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

#include "outbox/found.h"
#include "outbox/people_cache.h"
#include "outbox/people_seen.h"
#include "outbox/search_args.h"
#include "provider/people_json.h"
#include "settings.h"
#include "worker/question.h"
#include "worker/search.h"

#define NOBODY		(-1)

/* As much as one job keeps of people; a page of a hundred takes some 40 kB. */
#define FOUND_MAX	(64 * 1024 * 1024)

typedef struct RfSearchRun
{
	RfSearchArgs args;
	uint8		digest[RF_DIGEST_BYTES];	/* of what it asks for */
	char	   *bad;			/* what is wrong with the args; NULL: nothing */
	int			position;		/* of the account that gave these: */
	int64		found;
	size_t		dropped;		/* people of other firms */
	StringInfoData people;		/* JSON, one after the other, in UTF-8 */
	RfSeen		seen;
	bool		over;
	RfPeoplePage page;			/* that has landed */
	bool		has_page;
} RfSearchRun;

static void begin_at(RfFlight *flight, int position);
static void take_cached(RfFlight *flight, int position);
static void add_people(RfFlight *flight, const RfPerson *people, size_t npeople, bool more);
static void add_person(RfSearchRun *search, const RfPerson *person);
static char *found_json(RfFlight *flight);

void
rf_search_begin(RfFlight *flight)
{
	RfClaimedJob *job = flight->job;
	MemoryContext old;
	RfSearchRun *search;
	RfFieldError error;

	if (strcmp(job->task, RF_SEARCH_TASK) != 0 || rf_found_exists(job))
		return;
	old = MemoryContextSwitchTo(flight->context);
	flight->search = search = palloc0(sizeof(RfSearchRun));
	flight->question = palloc0(sizeof(RfQuestion));
	initStringInfo(&search->people);
	if (!rf_search_args_read(job->args, &search->args, &error))
		search->bad = psprintf("\"%s\" %s", error.field, error.problem);
	else
		rf_people_cache_digest(&search->args.query, search->digest);
	flight->question->query = search->args.query;
	begin_at(flight, NOBODY);
	for (int i = 0; i < Min(list_length(job->accounts), RF_ROUTE_MAX_ACCOUNTS); i++)
	{
		if (search->bad == NULL && search->position == NOBODY && rf_search_fresh > 0 &&
			(flight->usable & (UINT32_C(1) << i)) != 0)
			take_cached(flight, i);
	}
	MemoryContextSwitchTo(old);
}

bool
rf_search_is_over(const RfFlight *flight)
{
	return flight->search != NULL && flight->search->over;
}

bool
rf_search_is_asked_by(const RfFlight *flight, const RfFlight *other)
{
	const RfRosterEntry *entry = other->entry;
	int			page;
	const uint8 *digest = rf_search_first_question(flight, &page);
	ListCell   *lc;

	if (digest == NULL || other->search == NULL || entry == NULL || entry->provider->people == NULL ||
		other->question->page != page || memcmp(other->search->digest, digest, RF_DIGEST_BYTES) != 0 ||
		rf_people_page_rows(&other->question->query, entry->provider->people->page_size) <
		rf_people_page_rows(&flight->question->query, entry->provider->people->page_size))
		return false;
	foreach(lc, flight->job->accounts)
	{
		int			position = foreach_current_index(lc);

		if (position < RF_ROUTE_MAX_ACCOUNTS && (flight->usable & (UINT32_C(1) << position)) != 0 &&
			strcmp(lfirst(lc), entry->name) == 0)
			return true;
	}
	return false;
}

const uint8 *
rf_search_first_question(const RfFlight *flight, int *page)
{
	const RfSearchRun *search = flight->search;

	if (search == NULL || search->bad != NULL || search->over || flight->entry != NULL ||
		rf_search_fresh == 0)
		return NULL;
	*page = flight->question->page;
	return search->digest;
}

bool
rf_search_build(RfFlight *flight, const RfAccountConfig *config, char *why,
				bool *no_memory)
{
	RfSearchRun *search = flight->search;
	const RfPeopleCalls *people = flight->entry->provider->people;

	*no_memory = false;
	if (search->bad != NULL)
		strlcpy(why, search->bad, RF_REASON_MAX + 1);
	else if (people == NULL)
		strlcpy(why, "the account's provider was changed to one that knows no people", RF_REASON_MAX + 1);
	else
	{
		if (search->position != flight->position)
			begin_at(flight, flight->position);
		if (people->build_search(config, &flight->question->query, flight->question->page,
								 &flight->transfer.request))
			return true;
		strlcpy(why, "out of memory", RF_REASON_MAX + 1);
		*no_memory = true;
	}
	return false;
}

void
rf_search_read(RfFlight *flight, RfOutcome *outcome)
{
	const RfPeopleCalls *people = flight->entry->provider->people;
	RfSearchRun *search = flight->search;

	people->read_search(&flight->transfer.response, (int64_t) time(NULL),
						&flight->question->query, flight->question->page,
						&search->page, outcome);
	search->has_page = true;
	if (search->page.filters_ignored)
	{
		outcome->class = RF_OUTCOME_MALFORMED;
		rf_outcome_set_reason(outcome, "the answer has people of other firms only", 41);
	}
	if (outcome->class != RF_OUTCOME_OK && outcome->class != RF_OUTCOME_MISS)
		rf_people_page_free(rf_search_take_page(flight));
	if (outcome->class == RF_OUTCOME_MALFORMED)
		outcome->taken = people->search_costs ? RF_TAKEN_PERHAPS : RF_TAKEN_NO;
}

bool
rf_search_landed(RfFlight *flight, RfSettlement *settlement)
{
	RfSearchRun *search = flight->search;

	search->dropped += search->page.dropped;
	add_people(flight, search->page.people, search->page.npeople, search->page.more);
	if (search->over)
	{
		rf_search_settle(flight, settlement);
		return false;
	}
	settlement->kind = RF_SETTLE_NONE;
	settlement->verdict = NULL;
	return true;
}

void
rf_search_settle(RfFlight *flight, RfSettlement *settlement)
{
	RfSearchRun *search = flight->search;

	settlement->job_id = flight->job->id;
	settlement->kind = RF_SETTLE_WAIT;
	settlement->run_at = flight->job->run_at;
	if (search->people.len > FOUND_MAX)
	{
		settlement->kind = RF_SETTLE_DEAD;
		settlement->state = settlement->verdict = "failed";
		rf_outcome_init(&settlement->outcome, RF_OUTCOME_PERMANENT, 0);
		rf_outcome_set_reason(&settlement->outcome, "it found more than a job keeps: ask for fewer", 45);
		return;
	}
	settlement->found = found_json(flight);
	if (search->dropped == 0 || settlement->account == NULL)
		return;
	settlement->verdict = "found";
	snprintf(settlement->outcome.reason, sizeof(settlement->outcome.reason),
			 "left out %zu people of other firms", search->dropped);
}

RfPeoplePage *
rf_search_take_page(RfFlight *flight)
{
	RfSearchRun *search = flight->search;

	if (search == NULL || !search->has_page)
		return NULL;
	search->has_page = false;
	return &search->page;
}

static void
begin_at(RfFlight *flight, int position)
{
	RfSearchRun *search = flight->search;

	search->position = position;
	search->found = 0;
	search->dropped = 0;
	search->over = false;
	resetStringInfo(&search->people);
	rf_seen_clear(&search->seen);
	flight->question->page = 1;
}

/* As many pages as are fresh, from the first on. */
static void
take_cached(RfFlight *flight, int position)
{
	RfSearchRun *search = flight->search;
	const RfPeopleQuery *query = &search->args.query;
	const char *name = list_nth(flight->job->accounts, position);
	RfRosterEntry *entry = rf_roster_find(name);
	TimestampTz since = GetCurrentTimestamp() - (int64) rf_search_fresh * USECS_PER_MINUTE;
	RfCachedPage cached;
	int			rows;

	if (entry == NULL || entry->provider->people == NULL)
		return;
	rows = (int) rf_people_page_rows(query, entry->provider->people->page_size);
	while (!search->over &&
		   rf_people_cache_find(search->digest, name, flight->question->page, rows, since, &cached))
	{
		search->position = position;
		add_people(flight, cached.people, cached.npeople, cached.more);
		flight->question->page++;
		rf_people_cache_free(&cached);
	}
}

static void
add_people(RfFlight *flight, const RfPerson *people, size_t npeople, bool more)
{
	RfSearchRun *search = flight->search;

	for (size_t i = 0; i < npeople && search->found < search->args.query.max_results; i++)
	{
		if (search->people.len > FOUND_MAX || !rf_seen_is_new(&search->seen, &people[i], flight->context))
			continue;
		add_person(search, &people[i]);
		search->found++;
	}
	search->over = !more || search->found >= search->args.query.max_results ||
		search->people.len > FOUND_MAX;
}

static void
add_person(RfSearchRun *search, const RfPerson *person)
{
	RfBuffer	json = {0};

	rf_people_put_json(&json, person, 1);
	if (!json.failed)
	{
		if (search->people.len > 0)
			appendStringInfoChar(&search->people, ',');
		appendBinaryStringInfo(&search->people, json.data + 1, (int) json.len - 2); /* without brackets */
	}
	rf_buffer_free(&json);
}

/* See outbox/found.c.  In the current context. */
static char *
found_json(RfFlight *flight)
{
	RfSearchRun *search = flight->search;
	RfRosterEntry *entry = rf_roster_find(list_nth(flight->job->accounts, search->position));
	StringInfoData json;

	initStringInfo(&json);
	appendStringInfo(&json, "{\"position\":\"%d\",\"provider\":\"%s\",\"credits\":\"%d\",\"at\":\"" INT64_FORMAT "\",\"people\":[",
					 search->position, entry != NULL ? entry->provider->name : "",
					 search->args.enrich ? search->args.max_credits : -1, GetCurrentTimestamp());
	appendBinaryStringInfo(&json, search->people.data, search->people.len);
	appendStringInfoString(&json, "]}");
	return json.data;
}
