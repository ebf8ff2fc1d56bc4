/*-------------------------------------------------------------------------
 *
 * neverbounce_answer.c
 *	  Adapter for NeverBounce: answers about jobs, and what all have in common.
 *
 * Every error is HTTP 200 with a "status" of its own, so nothing of an answer is
 * looked at before that says success.  "general_failure" is everything else, and
 * only its words tell the credit from a mistake.
 *
 * A word for a job's state that we do not know is "under way".  A refused key is
 * quoted in the message: it is not repeated.
 *
 * IDENTIFICATION
 *	  src/provider/neverbounce_answer.c
 *
 *-------------------------------------------------------------------------
 */
#include <stdlib.h>
#include <string.h>

#include "provider/answer.h"
#include "provider/lookup.h"

#include "provider/neverbounce.h"

static void read_failure(const RfResponse *response, const char *status,
						 const char *message, RfOutcome *outcome);
static void read_general_failure(int http_status, const char *message,
								 RfOutcome *outcome);
static void read_http_error(const RfResponse *response, int64_t now_s,
							bool effectful, const char *message,
							RfOutcome *outcome);
static void init_job(RfVerifyJob *job);
static bool take_id(json_t *object, const char *name, RfVerifyJob *job);
static void take_totals(json_t *object, RfVerifyJob *job);
static RfVerifyState state_of(const char *word);
static void judge_state(const RfResponse *response, json_t *job_object,
						RfVerifyState state, RfOutcome *outcome);

bool
rf_neverbounce_is_success(const RfResponse *response, json_t *root,
						  int64_t now_s, bool effectful, RfOutcome *outcome)
{
	const char *status = json_string_value(json_object_get(root, "status"));
	const char *message = json_string_value(json_object_get(root, "message"));

	if (response->status < 200 || response->status >= 300)
		read_http_error(response, now_s, effectful, message, outcome);
	else if (status == NULL)
		rf_lookup_malformed(response, effectful, outcome);
	else if (strcmp(status, "success") == 0)
	{
		rf_outcome_init(outcome, RF_OUTCOME_OK, response->status);
		return true;
	}
	else
	{
		read_failure(response, status, message, outcome);
		if (outcome->class == RF_OUTCOME_MALFORMED)
			rf_lookup_malformed(response, effectful, outcome);
	}
	return false;
}

static void
read_failure(const RfResponse *response, const char *status,
			 const char *message, RfOutcome *outcome)
{
	int			http_status = response->status;

	if (strcmp(status, "auth_failure") == 0)
	{
		rf_answer_init_wide(outcome, RF_OUTCOME_CREDENTIAL, http_status);
		message = "the key was refused";
	}
	else if (strcmp(status, "throttle_triggered") == 0)
		rf_answer_init_wide(outcome, RF_OUTCOME_THROTTLE, http_status);
	else if (strcmp(status, "temp_unavail") == 0)
		rf_outcome_init(outcome, RF_OUTCOME_TRANSIENT, http_status);
	else if (strcmp(status, "bad_referrer") == 0)
		rf_answer_init_wide(outcome, RF_OUTCOME_CONFIG, http_status);
	else if (strcmp(status, "general_failure") == 0)
		read_general_failure(http_status, message, outcome);
	else
	{
		rf_outcome_init(outcome, RF_OUTCOME_MALFORMED, http_status);
		return;
	}
	rf_answer_set_reason(outcome, response, message, NULL);
}

static void
read_general_failure(int http_status, const char *message, RfOutcome *outcome)
{
	size_t		len = message != NULL ? strlen(message) : 0;

	if (rf_text_contains_nocase(message, len, "insufficient credit"))
		rf_answer_init_wide(outcome, RF_OUTCOME_QUOTA, http_status);
	else if (rf_text_contains_nocase(message, len, "not in a state") ||
			 rf_text_contains_nocase(message, len, "not complete") ||
			 rf_text_contains_nocase(message, len, "must be complete"))
		rf_outcome_init(outcome, RF_OUTCOME_PENDING, http_status);
	else
		rf_outcome_init(outcome, RF_OUTCOME_PERMANENT, http_status);
}

/* These come from what stands before the provider, often as HTML. */
static void
read_http_error(const RfResponse *response, int64_t now_s, bool effectful,
				const char *message, RfOutcome *outcome)
{
	int			status = response->status;

	if (status == 404)
		rf_outcome_init(outcome, RF_OUTCOME_PERMANENT, status);
	else if (rf_lookup_common(response, now_s, effectful, outcome))
		;						/* classified */
	else if (status == 401)
	{
		rf_answer_init_wide(outcome, RF_OUTCOME_CREDENTIAL, status);
		message = "the key was refused";
	}
	else if (status == 402)
		rf_answer_init_wide(outcome, RF_OUTCOME_QUOTA, status);
	else if (status == 403)
		rf_answer_init_wide(outcome, RF_OUTCOME_CONFIG, status);
	else
		rf_outcome_init(outcome, RF_OUTCOME_PERMANENT, status);
	rf_answer_set_reason(outcome, response, message, NULL);
}

void
rf_neverbounce_read_create(const RfResponse *response, int64_t now_s,
						   RfVerifyJob *job, RfOutcome *outcome)
{
	json_t	   *root = rf_lookup_json(response);

	init_job(job);
	if (rf_neverbounce_is_success(response, root, now_s, true, outcome) &&
		!take_id(root, "job_id", job))
		rf_lookup_malformed(response, true, outcome);
	json_decref(root);
}

/* A name that only resembles ours is no find. */
void
rf_neverbounce_read_find(const RfResponse *response, int64_t now_s,
						 const char *filename, RfVerifyJob *job,
						 RfOutcome *outcome)
{
	json_t	   *root = rf_lookup_json(response);
	json_t	   *list = json_object_get(root, "results");
	bool		good = rf_neverbounce_is_success(response, root, now_s, false, outcome);

	init_job(job);
	if (good && !json_is_array(list))
		rf_lookup_malformed(response, false, outcome);
	else if (good)
	{
		for (size_t i = 0; i < json_array_size(list) && job->id[0] == '\0'; i++)
		{
			json_t	   *row = json_array_get(list, i);
			const char *name = json_string_value(json_object_get(row, "filename"));
			const char *word = json_string_value(json_object_get(row, "job_status"));

			if (name == NULL || strcmp(name, filename) != 0 ||
				!take_id(row, "id", job))
				continue;
			if (word == NULL)
				word = json_string_value(json_object_get(row, "status"));
			job->state = state_of(word);
			take_totals(row, job);
		}
		if (job->id[0] == '\0')
			rf_lookup_miss(response->status, "there is no job of that name", outcome);
	}
	json_decref(root);
}

void
rf_neverbounce_read_started(const RfResponse *response, int64_t now_s,
							RfOutcome *outcome)
{
	json_t	   *root = rf_lookup_json(response);

	(void) rf_neverbounce_is_success(response, root, now_s, true, outcome);
	json_decref(root);
}

void
rf_neverbounce_read_status(const RfResponse *response, int64_t now_s,
						   RfVerifyJob *job, RfOutcome *outcome)
{
	json_t	   *root = rf_lookup_json(response);
	const char *word = json_string_value(json_object_get(root, "job_status"));

	init_job(job);
	if (rf_neverbounce_is_success(response, root, now_s, false, outcome))
	{
		if (word == NULL || !take_id(root, "id", job))
			rf_lookup_malformed(response, false, outcome);
		else
		{
			job->state = state_of(word);
			take_totals(root, job);
			judge_state(response, root, job->state, outcome);
		}
	}
	json_decref(root);
}

static void
judge_state(const RfResponse *response, json_t *job_object,
			RfVerifyState state, RfOutcome *outcome)
{
	const char *why = json_string_value(json_object_get(job_object, "failure_reason"));

	switch (state)
	{
		case RF_VERIFY_COMPLETE:
			return;
		case RF_VERIFY_UNDER_WAY:
		case RF_VERIFY_NOT_STARTED:
			rf_outcome_init(outcome, RF_OUTCOME_PENDING, response->status);
			why = "the job is not complete";
			break;
		case RF_VERIFY_UNDER_REVIEW:
			rf_outcome_init(outcome, RF_OUTCOME_PENDING, response->status);
			why = "the job is under review";
			break;
		case RF_VERIFY_FAILED:
			rf_outcome_init(outcome, RF_OUTCOME_PERMANENT, response->status);
			if (why == NULL || why[0] == '\0')
				why = "the job failed";
			break;
		case RF_VERIFY_DELETED:
			rf_outcome_init(outcome, RF_OUTCOME_PERMANENT, response->status);
			why = "the job was deleted";
			break;
	}
	rf_answer_set_reason(outcome, response, why, NULL);
}

void
rf_neverbounce_read_balance(const RfResponse *response, int64_t now_s,
							RfVerifyBalance *balance, RfOutcome *outcome)
{
	json_t	   *root = rf_lookup_json(response);
	json_t	   *credits = json_object_get(root, "credits_info");

	balance->paid = -1;
	balance->free = -1;
	if (rf_neverbounce_is_success(response, root, now_s, false, outcome))
	{
		balance->paid = rf_lookup_count(credits, "paid_credits_remaining");
		balance->free = rf_lookup_count(credits, "free_credits_remaining");
	}
	json_decref(root);
}

static void
init_job(RfVerifyJob *job)
{
	memset(job, 0, sizeof(*job));
	job->records = -1;
	job->processed = -1;
	job->billable = -1;
}

static bool
take_id(json_t *object, const char *name, RfVerifyJob *job)
{
	bool		failed = false;
	char	   *digits = rf_lookup_number(object, name, &failed);
	bool		good = digits != NULL && digits[0] != '-' &&
		strlen(digits) <= RF_VERIFY_JOB_ID_MAX;

	if (good)
		memcpy(job->id, digits, strlen(digits) + 1);
	free(digits);
	return good;
}

static void
take_totals(json_t *object, RfVerifyJob *job)
{
	json_t	   *total = json_object_get(object, "total");

	job->records = rf_lookup_count(total, "records");
	job->processed = rf_lookup_count(total, "processed");
	job->billable = rf_lookup_count(total, "billable");
}

static RfVerifyState
state_of(const char *word)
{
	static const struct
	{
		const char *word;
		RfVerifyState state;
	}			states[] = {
		{"complete", RF_VERIFY_COMPLETE},
		{"failed", RF_VERIFY_FAILED},
		{"deleted", RF_VERIFY_DELETED},
		{"under_review", RF_VERIFY_UNDER_REVIEW},
		{"waiting", RF_VERIFY_NOT_STARTED},
		{"waiting_analyzed", RF_VERIFY_NOT_STARTED}
	};

	for (size_t i = 0; i < sizeof(states) / sizeof(states[0]) && word != NULL; i++)
	{
		if (strcmp(states[i].word, word) == 0)
			return states[i].state;
	}
	return RF_VERIFY_UNDER_WAY;
}
