/*-------------------------------------------------------------------------
 *
 * limit_costs.c
 *	  What a request takes of rate limits, and what its answer says of them.
 *
 * A request counts for its endpoint: a job's task, unless who makes it says
 * otherwise.  It costs what who makes it says, or the account's cost_per_call;
 * a search that costs is taken to find as many people as were asked for.
 *
 * Providers tell what is left of windows of theirs.  Where a limit has the same
 * length, its window is filled until no more is left of it, either; so what
 * others have used with the same key counts, too.
 *
 * IDENTIFICATION
 *	  src/worker/limit_costs.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <limits.h>
#include <time.h>

#include "miscadmin.h"

#include "codec/rate_headers.h"
#include "codec/retry_after.h"
#include "settings.h"
#include "worker/limits.h"
#include "worker/question.h"

static void clamp(RfRosterEntry *entry, int64 per_us, uint32 left);

const char *
rf_limits_endpoint(const RfFlight *flight)
{
	if (flight->endpoint != NULL)
		return flight->endpoint;
	return flight->job != NULL ? flight->job->task : "apollo_search";
}

uint32
rf_limits_cost(const RfFlight *flight, const RfRosterEntry *entry)
{
	const RfPeopleCalls *people = entry->provider->people;

	if (flight->batch != NULL)
		return flight->cost;
	if (flight->cost > 0 || entry->cost_per_call > 0)
		return flight->cost > 0 ? flight->cost : entry->cost_per_call;
	if (flight->question == NULL || people == NULL || !people->search_costs)
		return 0;
	return (uint32) ((rf_people_page_rows(&flight->question->query, people->page_size) +
					  people->people_per_credit - 1) / people->people_per_credit);
}

uint32
rf_limits_affordable(RfRosterEntry *entry, const char *endpoint, int64 now_us,
					 int *requests, int64 *next_us)
{
	uint32		affordable = UINT32_MAX;

	*requests = INT_MAX;
	*next_us = 0;
	for (int i = 0; i < entry->nlimits; i++)
	{
		const RfLimitRule *rule = &entry->limits[i];
		uint32		room = 0;
		int64		next = 0;

		if (rule->by != RF_RATE_ALL ||
			(rule->endpoint != NULL && strcmp(rule->endpoint, endpoint) != 0))
			continue;
		if (rule->limit != NULL)
			room = rf_limit_room(rule->limit, 1, now_us, &next);
		if (rule->terms.credits)
			affordable = Min(affordable, room);
		else
			*requests = Min(*requests, (int) room);
		*next_us = Max(*next_us, next);
	}
	if (*next_us == RF_RATE_WHEN_ENDED)
		*next_us = 0;
	return affordable;
}

bool
rf_limits_never(RfFlight *flight, RfRosterEntry *entry)
{
	for (int i = 0; i < entry->nlimits; i++)
	{
		const RfLimitRule *rule = &entry->limits[i];

		if (rule->terms.credits && rf_limits_cost(flight, entry) > rule->terms.max &&
			(rule->endpoint == NULL || strcmp(rule->endpoint, rf_limits_endpoint(flight)) == 0))
			return true;
	}
	return false;
}

void
rf_limits_learn(RfFlight *flight)
{
	const RfResponse *response = &flight->transfer.response;
	RfRosterEntry *entry = flight->entry;
	const char *left = rf_response_header(response, "X-RateLimit-Remaining");
	RfRateSeen	seen[RF_RATE_WINDOWS_MAX];
	size_t		nseen = entry->nlimits > 0 ? rf_rate_headers_read(response, seen) : 0;
	int64_t		reset_s;

	for (size_t i = 0; i < nseen; i++)
		if (!seen[i].unlimited && seen[i].left >= 0)
			clamp(entry, seen[i].window_s * INT64CONST(1000000),
				  (uint32) Min(seen[i].left, RF_RATE_MAX_REQUESTS));

	/* Of which window is not said, but until when. */
	if (left != NULL && strcmp(left, "0") == 0 &&
		rf_rate_reset_parse(rf_response_header(response, "X-RateLimit-Reset"),
							(int64_t) time(NULL), &reset_s) && reset_s > 0)
		(void) rf_gate_pause(MyDatabaseId, entry->server, RF_OUTCOME_THROTTLE,
							 "the provider says that no request is left",
							 Min(reset_s, rf_retry_after_max) * INT64CONST(1000000));
}

static void
clamp(RfRosterEntry *entry, int64 per_us, uint32 left)
{
	int64		now_us = rf_gate_now_us();

	for (int i = 0; i < entry->nlimits; i++)
	{
		const RfLimitRule *rule = &entry->limits[i];

		if (rule->limit != NULL && !rule->terms.credits && rule->terms.per_us == per_us)
			rf_limit_clamp(rule->limit, left, now_us);
	}
}
