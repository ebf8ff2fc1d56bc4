/*-------------------------------------------------------------------------
 *
 * question.c
 *	  Asking a provider while the caller waits.
 *
 * What the dispatcher says of an account becomes an SQLSTATE here.  Messages
 * carry the account's name, details the provider's own words.
 *
 * IDENTIFICATION
 *	  src/api/question.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <time.h>

#include "errors.h"
#include "outbox/statement.h"
#include "shmem/call.h"
#include "shmem/gate.h"
#include "api/question.h"

static RfAnswer *ask(RfAsker *asker, const RfQuestion *question);
static void raise_closed(const RfAsker *asker, const RfAnswer *answer);
static void raise_outcome(const RfAsker *asker, const RfOutcome *outcome);

void
rf_asker_init(RfAsker *asker, const RfAccount *account, int64 timeout_us)
{
	asker->account = pstrdup(account->name);
	asker->provider = account->provider;
	asker->deadline_us = rf_gate_now_us() + timeout_us;
}

void
rf_asker_search(RfAsker *asker, const RfQuestion *question, RfPeoplePage *page)
{
	RfAnswer   *answer = ask(asker, question);
	RfResponse	response;
	RfOutcome	outcome;

	if (answer->end != RF_ANSWER_GIVEN)
		raise_closed(asker, answer);
	if (answer->outcome.class != RF_OUTCOME_OK)
		raise_outcome(asker, &answer->outcome);

	memset(&response, 0, sizeof(response));
	response.status = answer->outcome.http_status;
	response.body = (char *) (answer + 1);
	response.body_len = answer->body_len;
	asker->provider->people->read_search(&response, (int64_t) time(NULL), &question->query,
										 question->page, page, &outcome);
	pfree(answer);
	if (outcome.class == RF_OUTCOME_OK || outcome.class == RF_OUTCOME_MISS)
	{
		if (!page->filters_ignored)
			return;
		outcome.class = RF_OUTCOME_MALFORMED;
		rf_outcome_set_reason(&outcome, "the answer has people of other firms only", 41);
	}
	rf_people_page_free(page);
	raise_outcome(asker, &outcome);
}

static RfAnswer *
ask(RfAsker *asker, const RfQuestion *question)
{
	Size		len;
	void	   *request = rf_question_pack(question, &len);
	int64		left_us = asker->deadline_us - rf_gate_now_us();
	RfCallResult result;
	RfAnswer   *answer;

	rf_call_perform(RF_CALL_QUESTION, request, len, Max(left_us, 0), &result);
	pfree(request);
	if (result.end == RF_CALL_DISPATCHER_GONE)
		ereport(ERROR,
				(errcode(RF_ERRCODE_NOT_READY),
				 errmsg("the dispatcher ended before account \"%s\" answered", asker->account),
				 errhint("Try again: the launcher starts another dispatcher in a moment.")));
	if (result.end != RF_CALL_ANSWERED)
		ereport(ERROR,
				(errcode(RF_ERRCODE_NOT_REACHED),
				 errmsg("account \"%s\" did not answer in time", asker->account),
				 errhint("Give it longer: timeout => '30 s'.")));

	/* With a zero behind the body, for those who read it as a string. */
	answer = MemoryContextAllocHuge(CurrentMemoryContext, result.answer_len + 1);
	memcpy(answer, result.answer, result.answer_len);
	((char *) answer)[result.answer_len] = '\0';
	pfree(result.answer);
	return answer;
}

/* It was not asked, or no answer came. */
static void
raise_closed(const RfAsker *asker, const RfAnswer *answer)
{
	const RfOutcome *outcome = &answer->outcome;
	const char *why = rf_text_to_server(outcome->reason);

	if (answer->end == RF_ANSWER_NOT_READY)
		ereport(ERROR,
				(errcode(RF_ERRCODE_NOT_READY),
				 errmsg("nothing may leave this database now: %s", why),
				 errhint("See roleferry.activate().")));
	if (answer->end == RF_ANSWER_NONE)
		ereport(ERROR,
				(errcode(RF_ERRCODE_NOT_REACHED),
				 errmsg("could not reach account \"%s\": %s", asker->account, why)));
	if (outcome->class == RF_OUTCOME_QUOTA || outcome->class == RF_OUTCOME_CREDENTIAL ||
		outcome->class == RF_OUTCOME_CONFIG)
		raise_outcome(asker, outcome);
	ereport(ERROR,
			(errcode(answer->circuit_open ? RF_ERRCODE_CIRCUIT_OPEN : RF_ERRCODE_RATE_LIMIT),
			 answer->circuit_open ?
			 errmsg("the circuit of account \"%s\" is open", asker->account) :
			 errmsg("account \"%s\" has to wait", asker->account),
			 errdetail_internal("%s", why),
			 answer->opens_in_us > 0 ?
			 errhint("Try again in %lld s.", (long long) (answer->opens_in_us / 1000000 + 1)) : 0));
}

static void
raise_outcome(const RfAsker *asker, const RfOutcome *outcome)
{
	const char *why = rf_text_to_server(outcome->reason);

	if (outcome->class == RF_OUTCOME_THROTTLE)
		ereport(ERROR,
				(errcode(RF_ERRCODE_RATE_LIMIT),
				 errmsg("account \"%s\" has used up its requests", asker->account),
				 errdetail_internal("%s", why),
				 outcome->retry_after_s >= 0 ?
				 errhint("Try again in %lld s.", (long long) outcome->retry_after_s) : 0));
	if (outcome->class == RF_OUTCOME_TRANSIENT || outcome->class == RF_OUTCOME_AMBIGUOUS)
		ereport(ERROR,
				(errcode(RF_ERRCODE_NOT_REACHED),
				 errmsg("account \"%s\" could not answer", asker->account),
				 errdetail("HTTP status %d: %s", outcome->http_status, why)));
	ereport(ERROR,
			(errcode(RF_ERRCODE_REFUSED),
			 errmsg("account \"%s\" refused (%s)", asker->account,
					rf_outcome_class_text(outcome->class)),
			 errdetail("HTTP status %d: %s", outcome->http_status, why)));
}
