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

#include "utils/builtins.h"

#include "errors.h"
#include "outbox/statement.h"
#include "shmem/call.h"
#include "shmem/gate.h"
#include "api/question.h"

static RfAnswer *ask(RfAsker *asker, const RfQuestion *question, RfAskFailure *failure);
static void fail_closed(const RfAsker *asker, const RfAnswer *answer, RfAskFailure *failure);
static void fail_outcome(const RfAsker *asker, const RfOutcome *outcome, RfAskFailure *failure);
static void fail(RfAskFailure *failure, int sqlerrcode, char *message, char *detail, char *hint);
static char *status_detail(const RfOutcome *outcome);

void
rf_asker_init(RfAsker *asker, const char *account, const RfProvider *provider,
			  int64 deadline_us)
{
	asker->account = pstrdup(account);
	asker->provider = provider;
	asker->deadline_us = deadline_us;
}

bool
rf_asker_search(RfAsker *asker, const RfQuestion *question, RfPeoplePage *page,
				RfAskFailure *failure)
{
	RfAnswer   *answer;
	RfResponse	response;
	RfOutcome	outcome;

	memset(failure, 0, sizeof(*failure));
	answer = ask(asker, question, failure);
	if (answer == NULL)
		return false;
	if (answer->end != RF_ANSWER_GIVEN)
	{
		fail_closed(asker, answer, failure);
		return false;
	}
	if (answer->outcome.class != RF_OUTCOME_OK)
	{
		fail_outcome(asker, &answer->outcome, failure);
		return false;
	}

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
			return true;
		outcome.class = RF_OUTCOME_MALFORMED;
		rf_outcome_set_reason(&outcome, "the answer has people of other firms only", 41);
	}
	rf_people_page_free(page);
	fail_outcome(asker, &outcome, failure);
	return false;
}

void
rf_ask_raise(const RfAskFailure *failure)
{
	ereport(ERROR,
			(errcode(failure->sqlerrcode),
			 errmsg_internal("%s", failure->message),
			 failure->detail ? errdetail_internal("%s", failure->detail) : 0,
			 failure->hint ? errhint("%s", failure->hint) : 0));
}

/* NULL: no answer came in time. */
static RfAnswer *
ask(RfAsker *asker, const RfQuestion *question, RfAskFailure *failure)
{
	Size		len;
	void	   *request = rf_question_pack(question, &len);
	int64		left_us = asker->deadline_us - rf_gate_now_us();
	RfCallResult result;

	rf_call_perform(RF_CALL_QUESTION, request, len, Max(left_us, 0), &result);
	pfree(request);
	if (result.end == RF_CALL_DISPATCHER_GONE)
		ereport(ERROR,
				(errcode(RF_ERRCODE_NOT_READY),
				 errmsg("the dispatcher ended before account \"%s\" answered", asker->account),
				 errhint("Try again: the launcher starts another dispatcher in a moment.")));
	if (result.end != RF_CALL_ANSWERED)
	{
		fail(failure, RF_ERRCODE_NOT_REACHED,
			 psprintf("account \"%s\" did not answer in time", asker->account),
			 NULL, pstrdup("Give it longer: timeout => '30 s'."));
		failure->elsewhere = failure->is_down = true;
		return NULL;
	}

	return result.answer;
}

/* It was not asked, or no answer came. */
static void
fail_closed(const RfAsker *asker, const RfAnswer *answer, RfAskFailure *failure)
{
	const RfOutcome *outcome = &answer->outcome;
	char	   *why = rf_text_to_server(outcome->reason);

	if (answer->end == RF_ANSWER_NOT_READY)
		ereport(ERROR,
				(errcode(RF_ERRCODE_NOT_READY),
				 errmsg("nothing may leave this database now: %s", why),
				 errhint("See roleferry.activate().")));
	if (outcome->class == RF_OUTCOME_QUOTA || outcome->class == RF_OUTCOME_CREDENTIAL ||
		outcome->class == RF_OUTCOME_CONFIG)
	{
		fail_outcome(asker, outcome, failure);
		if (outcome->class == RF_OUTCOME_QUOTA)
			fail(failure, RF_ERRCODE_REFUSED,
				 psprintf("account \"%s\" is stopped: no credit is left", asker->account), why,
				 psprintf("When it has credit again: SELECT roleferry.resume_account(%s).",
						  quote_literal_cstr(asker->account)));
		return;
	}
	failure->elsewhere = failure->is_down = true;
	failure->opens_in_us = answer->opens_in_us;
	if (answer->end == RF_ANSWER_NONE)
		fail(failure, RF_ERRCODE_NOT_REACHED,
			 psprintf("could not reach account \"%s\": %s", asker->account, why), NULL, NULL);
	else
		fail(failure, answer->circuit_open ? RF_ERRCODE_CIRCUIT_OPEN : RF_ERRCODE_RATE_LIMIT,
			 answer->circuit_open ?
			 psprintf("the circuit of account \"%s\" is open", asker->account) :
			 psprintf("account \"%s\" has to wait", asker->account),
			 why,
			 answer->opens_in_us > 0 ?
			 psprintf("Try again in %lld s.", (long long) (answer->opens_in_us / 1000000 + 1)) : NULL);
}

static void
fail_outcome(const RfAsker *asker, const RfOutcome *outcome, RfAskFailure *failure)
{
	failure->elsewhere = outcome->class != RF_OUTCOME_PERMANENT;
	switch (outcome->class)
	{
		case RF_OUTCOME_THROTTLE:
			failure->is_down = true;
			failure->opens_in_us = Max(outcome->retry_after_s, 0) * INT64CONST(1000000);
			fail(failure, RF_ERRCODE_RATE_LIMIT,
				 psprintf("account \"%s\" has used up its requests", asker->account),
				 rf_text_to_server(outcome->reason),
				 outcome->retry_after_s >= 0 ?
				 psprintf("Try again in %lld s.", (long long) outcome->retry_after_s) : NULL);
			return;
		case RF_OUTCOME_TRANSIENT:
		case RF_OUTCOME_AMBIGUOUS:
			failure->is_down = true;
			fail(failure, RF_ERRCODE_NOT_REACHED,
				 psprintf("account \"%s\" could not answer", asker->account),
				 status_detail(outcome), NULL);
			return;
		case RF_OUTCOME_OK:
		case RF_OUTCOME_MISS:
		case RF_OUTCOME_PENDING:
		case RF_OUTCOME_QUOTA:
		case RF_OUTCOME_CREDENTIAL:
		case RF_OUTCOME_CONFIG:
		case RF_OUTCOME_PERMANENT:
		case RF_OUTCOME_MALFORMED:
			failure->is_down = outcome->class == RF_OUTCOME_QUOTA;
			fail(failure, RF_ERRCODE_REFUSED,
				 psprintf("account \"%s\" refused (%s)", asker->account,
						  rf_outcome_class_text(outcome->class)),
				 status_detail(outcome), NULL);
	}
}

static void
fail(RfAskFailure *failure, int sqlerrcode, char *message, char *detail, char *hint)
{
	failure->sqlerrcode = sqlerrcode;
	failure->message = message;
	failure->detail = detail;
	failure->hint = hint;
}

static char *
status_detail(const RfOutcome *outcome)
{
	return psprintf("HTTP status %d: %s", outcome->http_status, rf_text_to_server(outcome->reason));
}
