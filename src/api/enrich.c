/*-------------------------------------------------------------------------
 *
 * enrich.c
 *	  What a search leaves out of people, from the cache or paid for.
 *
 * Who was paid for before is not paid for again.  The rest becomes a job that
 * this session waits for: it is done when what was paid for is in the cache, and
 * there it is read, whatever snapshot the transaction has.  A rollback loses
 * nothing, so it waits anywhere.
 *
 * IDENTIFICATION
 *	  src/api/enrich.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xact.h"
#include "miscadmin.h"
#include "tcop/utility.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

#include "api/enrich.h"
#include "errors.h"
#include "outbox/enrich_args.h"
#include "outbox/handover.h"
#include "outbox/insert.h"
#include "outbox/person_cache.h"
#include "outbox/receipt.h"
#include "outbox/statement.h"
#include "provider/people_json.h"
#include "shmem/call.h"
#include "shmem/gate.h"
#include "shmem/server_mode.h"

/* Who lacks something: by id, and where the search has him. */
typedef struct Wanted
{
	const char **ids;
	RfFoundPerson **people;
	int			count;
} Wanted;

static void gather(RfFoundPerson *people, int npeople, Wanted *wanted);
static int	fill_in(Wanted *wanted, const char *provider, TimestampTz since);
static void merge(RfFoundPerson *found, const RfKeptPerson *kept);
static void take_text(char **to, const char *from);
static void pay(const Wanted *wanted, int count, const char *account, int64 deadline_us);
static void judge_end(const RfCallResult *result, const char *account);

void
rf_enrich_people(RfFoundPerson *people, int npeople, const char *account,
				 const RfProvider *provider, int max_credits, int64 deadline_us)
{
	TimestampTz since = GetCurrentTimestamp();
	Wanted		wanted;

	if (provider->people->enrich_max == 0)
		return;
	gather(people, npeople, &wanted);
	if (fill_in(&wanted, provider->name, since) == 0 || max_credits == 0)
		return;
	pay(&wanted, Min(wanted.count, max_credits), account, deadline_us);
	(void) fill_in(&wanted, provider->name, since);
}

void
rf_enrich_copy(const RfPerson *person, RfPerson *copy)
{
	memset(copy, 0, sizeof(*copy));
	copy->confidence = person->confidence;
	take_text(&copy->id, person->id);
	take_text(&copy->name, person->name);
	take_text(&copy->first_name, person->first_name);
	take_text(&copy->last_name, person->last_name);
	take_text(&copy->title, person->title);
	take_text(&copy->email, person->email);
	take_text(&copy->email_status, person->email_status);
	take_text(&copy->linkedin, person->linkedin);
	take_text(&copy->organization_name, person->organization_name);
	take_text(&copy->organization_domain, person->organization_domain);
}

static void
gather(RfFoundPerson *people, int npeople, Wanted *wanted)
{
	wanted->ids = palloc((npeople + 1) * sizeof(char *));
	wanted->people = palloc((npeople + 1) * sizeof(RfFoundPerson *));
	wanted->count = 0;
	for (int i = 0; i < npeople; i++)
	{
		const char *id = people[i].person.id;

		if (people[i].person.email != NULL || id == NULL || !rf_enrich_takes_id(id))
			continue;
		wanted->ids[wanted->count] = id;
		wanted->people[wanted->count++] = &people[i];
	}
}

/* Leaves those that nothing fresh is known of, and returns how many. */
static int
fill_in(Wanted *wanted, const char *provider, TimestampTz since)
{
	MemoryContext context = CurrentMemoryContext;
	RfKeptPerson *kept = MemoryContextAllocHuge(context, (wanted->count + 1) * sizeof(RfKeptPerson));
	TimestampTz fresh = since - rf_person_cache_keeps_us();
	int			left = 0;
	Oid			userid;
	int			sec_context;

	if (wanted->count == 0)
		return 0;
	rf_insert_begin_as_owner(&userid, &sec_context);
	MemoryContextSwitchTo(context);
	rf_person_cache_find(provider, wanted->ids, wanted->count, true, kept);
	rf_insert_end_as_owner(userid, sec_context);
	MemoryContextSwitchTo(context);

	for (int i = 0; i < wanted->count; i++)
	{
		if (kept[i].found && (kept[i].fetched_at >= since || kept[i].fetched_at > fresh))
		{
			merge(wanted->people[i], &kept[i]);
			continue;
		}
		wanted->ids[left] = wanted->ids[i];
		wanted->people[left++] = wanted->people[i];
	}
	wanted->count = left;
	return left;
}

static void
merge(RfFoundPerson *found, const RfKeptPerson *kept)
{
	RfPerson   *people;
	size_t		npeople;

	if (!rf_people_get_json(kept->json, strlen(kept->json), &people, &npeople))
		return;
	if (npeople == 1)
	{
		RfPerson	merged = found->person;

		rf_person_overlay(&merged, people);
		rf_enrich_copy(&merged, &found->person);
	}
	for (size_t i = 0; i < npeople; i++)
		rf_person_free(&people[i]);
	free(people);
}

static void
take_text(char **to, const char *from)
{
	if (from != NULL)
		*to = pstrdup(from);
}

/* The first of them, as many as may be paid for. */
static void
pay(const Wanted *wanted, int count, const char *account, int64 deadline_us)
{
	int64		timeout_us = Max(deadline_us - rf_gate_now_us(), 0);
	RfJobDraft	draft;
	RfJobProblem problem;
	RfCallResult result;
	void	   *request;
	Size		len;

	rf_mode_require_live();
	PreventCommandIfReadOnly("apollo_search() with enrich");
	PreventCommandDuringRecovery("apollo_search() with enrich");
	memset(&draft, 0, sizeof(draft));
	draft.task = RF_ENRICH_TASK;
	draft.mode = rf_mode_for_new_job();
	draft.role = GetUserNameFromId(GetUserId(), false);
	draft.queue = "enrichment";
	draft.args = rf_enrich_args_make(wanted->ids, count, account);
	draft.run_at = GetCurrentTransactionStartTimestamp();
	draft.expires_at = DT_NOEND;
	draft.priority = RF_DEFAULT_PRIORITY;
	if (!rf_job_check(&draft, &problem))
		rf_job_raise(&problem);
	draft.wait_us = timeout_us;
	request = rf_handover_pack(&draft, &len);
	rf_call_perform(RF_CALL_SEND_EMAIL, request, len, timeout_us, &result);
	pfree(request);
	judge_end(&result, account);
}

static void
judge_end(const RfCallResult *result, const char *account)
{
	const RfReceipt *receipt = result->answer;

	if (result->end == RF_CALL_ANSWERED)
	{
		if (receipt->sqlerrcode != 0)
			ereport(ERROR,
					(errcode(receipt->sqlerrcode),
					 errmsg_internal("%s", rf_text_to_server(receipt->reason)),
					 receipt->hint[0] ? errdetail_internal("%s", rf_text_to_server(receipt->hint)) : 0,
					 errhint("With enrich => false the search itself is free.")));
		return;
	}
	if (result->end == RF_CALL_DISPATCHER_GONE)
		ereport(ERROR,
				(errcode(RF_ERRCODE_NOT_READY),
				 errmsg("the dispatcher ended before account \"%s\" answered", account),
				 errhint("Try again: who was paid for is not paid for twice.")));
	if (result->was_taken && result->job_id != 0)
		ereport(ERROR,
				(errcode(RF_ERRCODE_NOT_REACHED),
				 errmsg("account \"%s\" did not answer in time", account),
				 errdetail("Job %lld goes on.", (long long) result->job_id),
				 errhint("Try again later: who was paid for is not paid for twice.")));
	ereport(ERROR,
			(errcode(RF_ERRCODE_NOT_REACHED),
			 errmsg("the dispatcher did not begin to ask account \"%s\" in time", account),
			 errhint("Give it longer: timeout => '30 s'.")));
}
