/*
 * NeverBounce's answers, as those of every call.  Whatever comes, there is no
 * verdict and no job without a success.
 */
#include "lookup.h"

#define NOW 1700000000

static bool
says_success(const RfResponse *response)
{
	return response->status >= 200 && response->status < 300 &&
		memmem(response->body, response->body_len, "succ", 4) != NULL;
}

static void
check_verification(const RfVerification *row, const RfResponse *response)
{
	check_text(row->email);
	check_text(row->raw);
	check_text(row->suggestion);
	for (size_t i = 0; i < row->nflags; i++)
		check_text(row->flags[i]);
	if (row->verdict == RF_VERDICT_VALID)
		MUST(says_success(response) && strcmp(row->raw, "valid") == 0);
}

static void
check_job(const RfVerifyJob *job, const RfOutcome *outcome)
{
	MUST(strspn(job->id, "0123456789") == strnlen(job->id, sizeof(job->id)));
	MUST(strnlen(job->id, sizeof(job->id)) <= RF_VERIFY_JOB_ID_MAX);
	if (outcome->class == RF_OUTCOME_OK)
		MUST(job->id[0] != '\0');
	MUST(job->records >= -1 && job->processed >= -1 && job->billable >= -1);
}

static void
check_jobs(const RfVerifyCalls *calls, const RfResponse *response)
{
	RfVerifyJob job;
	RfOutcome	outcome;

	calls->read_create(response, NOW, &job, &outcome);
	check_lookup(&outcome, response, true);
	check_job(&job, &outcome);
	calls->read_find(response, NOW, "rf-1", &job, &outcome);
	check_lookup(&outcome, response, false);
	check_job(&job, &outcome);
	calls->read_status(response, NOW, &job, &outcome);
	check_lookup(&outcome, response, false);
	check_job(&job, &outcome);
	if (outcome.class == RF_OUTCOME_OK)
		MUST(job.state == RF_VERIFY_COMPLETE && says_success(response));
	calls->read_started(response, NOW, &outcome);
	check_lookup(&outcome, response, true);
}

/*
 * The word may be spelled with \u escapes; the MUSTs above look for it as it
 * is, so inputs with a backslash are read but not held to them.
 */
int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const RfVerifyCalls *calls = rf_provider_find("neverbounce")->verify;
	RfResponse	response;
	RfText		email = {"a@x.org", 7};
	RfVerifyPage page;
	RfVerification row;
	RfVerifyBalance balance;
	RfOutcome	outcome;

	if (size > 0 && memchr(data, '\\', size) != NULL)
		return -1;
	response = take_response(make_input(data, size));
	check_jobs(calls, &response);
	calls->read_results(&response, NOW, &page, &outcome);
	check_lookup(&outcome, &response, false);
	for (size_t i = 0; i < page.nrows; i++)
	{
		MUST(page.rows[i].email != NULL);
		check_verification(&page.rows[i], &response);
	}
	if (outcome.class != RF_OUTCOME_OK)
		MUST(page.nrows == 0);
	rf_verify_page_free(&page);

	calls->read_check(&response, NOW, email, &row, &outcome);
	check_lookup(&outcome, &response, true);
	check_verification(&row, &response);
	MUST((row.raw != NULL) == (outcome.class == RF_OUTCOME_OK));
	rf_verification_free(&row);

	calls->read_balance(&response, NOW, &balance, &outcome);
	check_lookup(&outcome, &response, false);
	MUST(balance.paid >= -1 && balance.free >= -1);
	rf_response_free(&response);
	return 0;
}
