/* NeverBounce: requests, jobs, verdicts, and errors that come as HTTP 200. */
#include "people.h"
#include "provider/neverbounce.h"
#include "provider/verify.h"
#include "vectors.h"

static const RfVerifyCalls *
calls(void)
{
	return rf_provider_find("neverbounce")->verify;
}

static RfAccountConfig
account_of(const char *secret)
{
	RfAccountConfig account;

	memset(&account, 0, sizeof(account));
	account.secret = secret;
	return account;
}

/* The request's path and body, then it is freed. */
static void
is_request(bool built, RfRequest *request, const char *path, const char *body,
		   const char *what)
{
	char		url[200];

	snprintf(url, sizeof(url), "https://api.neverbounce.com/v4.2/%s", path);
	if (!ok(built, "%s", what))
		return;
	is_text(request->url, url, path);
	is_text(request->body, body, body);
	ok(!request->get && request->answer_bytes >= 8000000 && has_header(request, "Content-Type: application/json") &&
	   request->body_len == strlen(request->body), "is a POST of JSON, whose answer is not cut");
	rf_request_free(request);
}

static void
test_requests(void)
{
	RfAccountConfig account = account_of("private_k");
	RfRequest	request = {0};
	RfText		emails[2] = {span("Ann@Example.org"), span(" O'Neil+x@example.org ")};

	is_request(calls()->build_create(&account, emails, 2, "rf-i1.7", &request), &request,
			   "jobs/create",
			   "{\"input_location\":\"supplied\",\"filename\":\"rf-i1.7\","
			   "\"auto_parse\":true,\"auto_start\":true,\"run_sample\":false,"
			   "\"allow_manual_review\":false,\"input\":[{\"email\":\"ann@example.org\"},"
			   "{\"email\":\"o'neil+x@example.org\"}],\"key\":\"private_k\"}",
			   "a job");
	is_request(calls()->build_find(&account, "rf-i1.7", &request), &request, "jobs/search",
			   "{\"filename\":\"rf-i1.7\",\"page\":1,\"items_per_page\":10,\"key\":\"private_k\"}",
			   "a job is looked for by its name");
	is_request(calls()->build_parse(&account, "150970", &request), &request, "jobs/parse",
			   "{\"job_id\":150970,\"auto_start\":true,\"key\":\"private_k\"}", "a job is parsed");
	is_request(calls()->build_start(&account, "150970", &request), &request, "jobs/start",
			   "{\"job_id\":150970,\"run_sample\":false,\"allow_manual_review\":false,\"key\":\"private_k\"}",
			   "a job is started");
	is_request(calls()->build_status(&account, "9223372036854775807", &request), &request, "jobs/status",
			   "{\"job_id\":9223372036854775807,\"key\":\"private_k\"}", "a job's state");
	is_request(calls()->build_results(&account, "1", 12, &request), &request, "jobs/results",
			   "{\"job_id\":1,\"page\":12,\"items_per_page\":1000,\"key\":\"private_k\"}", "a page of results");
	is_request(calls()->build_check(&account, span("Ann@example.org"), 7, &request), &request, "single/check",
			   "{\"email\":\"ann@example.org\",\"timeout\":7,\"credits_info\":true,\"key\":\"private_k\"}",
			   "one address");
	is_request(calls()->build_balance(&account, &request), &request, "account/info",
			   "{\"key\":\"private_k\"}", "what is left");
}

static void
test_bad_requests(void)
{
	RfAccountConfig account = account_of("private_k");
	RfAccountConfig no_key = account_of(NULL);
	RfRequest	request = {0};
	RfText		emails[2] = {span("ann@example.org"), span("nobody")};

	ok(!calls()->build_create(&account, emails, 2, "f", &request) && request.body == NULL,
	   "what is no address is never sent");
	ok(!calls()->build_check(&account, emails[1], 5, &request), "nor by itself");
	ok(!calls()->build_create(&account, emails, 0, "f", &request), "no job without addresses");
	ok(!calls()->build_create(&account, emails, 1, "", &request), "nor without a name");
	ok(!calls()->build_create(&account, emails, 1, "a b", &request), "nor with a strange one");
	ok(!calls()->build_find(&account, "a*", &request), "which would find others'");
	ok(!calls()->build_status(&account, "1,\"x\":2", &request), "an id is digits");
	ok(!calls()->build_status(&account, "", &request), "at least one");
	ok(!calls()->build_status(&account, "123456789012345678901", &request), "and not too many");
	ok(!calls()->build_results(&account, "1", 0, &request), "pages count from one");
	ok(!calls()->build_balance(&no_key, &request), "nothing goes without a key");
}

static void
test_addresses(void)
{
	char		folded[RF_VERIFY_ADDRESS_MAX + 1];
	RfText		emails[3] = {span("a@example.org"), span("b@example.org"), span("c@example.org")};
	RfVerifyCalls small = *calls();

	ok(rf_verify_address(span(" Ann.Lee@EXAMPLE.org\t"), folded) == RF_ADDRESS_OK &&
	   strcmp(folded, "ann.lee@example.org") == 0, "case and white space are folded");
	ok(rf_verify_address(span("Ann <ann@example.org>"), folded) == RF_ADDRESS_SYNTAX && folded[0] == '\0',
	   "a name beside it is not taken");
	ok(rf_verify_address(span(""), folded) == RF_ADDRESS_EMPTY &&
	   rf_verify_address(span("a@"), folded) != RF_ADDRESS_OK &&
	   rf_verify_address(span("a@c.org, d@e.org"), folded) == RF_ADDRESS_TWO &&
	   rf_verify_address(span("a@b.org\n"), folded) == RF_ADDRESS_CONTROL, "others are none");
	ok(rf_verify_address(span("j\xc3\xb6rg@example.org"), folded) == RF_ADDRESS_NON_ASCII,
	   "one beyond ASCII is told apart");

	is_int((int64_t) rf_verify_chunk(&small, emails, 3), 3, "few addresses are one job");
	small.max_items = 2;
	is_int((int64_t) rf_verify_chunk(&small, emails, 3), 2, "a job has so many at most");
	small.max_items = 3;
	small.max_bytes = 4096 + 2 * rf_verify_item_size(emails[0]);
	is_int((int64_t) rf_verify_chunk(&small, emails, 3), 2, "and so many bytes");
	small.max_bytes--;
	is_int((int64_t) rf_verify_chunk(&small, emails, 3), 1, "to the byte");
	small.max_bytes = 1;
	is_int((int64_t) rf_verify_chunk(&small, emails, 3), 1, "but at least one address");
	is_int((int64_t) rf_verify_chunk(&small, emails, 0), 0, "if there is any");
	is_int((int64_t) rf_verify_item_size(emails[0]), 26, "an address takes its member");
	ok(calls()->max_bytes < 25000000 && calls()->max_items >= 100000, "the limits are the provider's");
}

static RfOutcome
read_create(int status, const char *body, RfVerifyJob *job)
{
	RfResponse	response = response_of(status, NULL, body);
	RfOutcome	outcome;

	memset(&outcome, 'x', sizeof(outcome));
	memset(job, 'x', sizeof(*job));
	calls()->read_create(&response, NOW, job, &outcome);
	rf_response_free(&response);
	return outcome;
}

static void
is_create(int status, const char *body, const char *expected)
{
	RfVerifyJob job;
	RfOutcome	outcome = read_create(status, body, &job);
	char		what[200];

	snprintf(what, sizeof(what), "create %d %.80s: %s", status, body != NULL ? body : "", expected);
	is_outcome(&outcome, expected, what);
	if ((job.id[0] != '\0') != (outcome.class == RF_OUTCOME_OK))
		ok(false, "an id is known when the job is");
}

static void
test_create(void)
{
	RfVerifyJob job;
	RfOutcome	outcome;

	is_create(200, "{\"status\":\"success\",\"job_id\":150970}", "ok yes");
	is_create(200, "{\"status\":\"success\"}", "malformed perhaps");
	is_create(200, "{\"status\":\"success\",\"job_id\":-5}", "malformed perhaps");
	is_create(200, "{\"status\":\"success\",\"job_id\":1.5}", "malformed perhaps");
	is_create(200, "{\"job_id\":150970}", "malformed perhaps");
	is_create(200, "{\"status\":\"weird\",\"job_id\":150970}", "malformed perhaps");
	is_create(200, "{\"status\":true,\"job_id\":150970}", "malformed perhaps");
	is_create(200, "", "malformed perhaps");
	is_create(200, "{\"status\":\"auth_failure\",\"message\":\"Invalid API key 'private_abc'\"}", "credential no wide");
	is_create(200, "{\"status\":\"throttle_triggered\",\"message\":\"x\"}", "throttle no wide");
	is_create(200, "{\"status\":\"temp_unavail\"}", "transient no");
	is_create(200, "{\"status\":\"bad_referrer\"}", "config no wide");
	is_create(200, "{\"status\":\"general_failure\",\"message\":\"Missing required parameter 'key'\"}", "permanent no");
	is_create(200, "{\"status\":\"general_failure\",\"message\":\"Insufficient credit balance.\"}", "quota no wide");
	is_create(413, "<html>", "permanent no");
	is_create(401, "", "credential no wide");
	is_create(403, "", "config no wide");
	is_create(404, "", "permanent no");
	is_create(429, "", "throttle no wide");
	is_create(502, "<html>", "ambiguous perhaps");
	is_create(504, "", "ambiguous perhaps");
	is_create(301, "", "config no wide");

	outcome = read_create(200, "{\"status\":\"success\",\"job_id\":\"9223372036854775807\"}", &job);
	ok(outcome.class == RF_OUTCOME_OK, "an id may be a string");
	is_text(job.id, "9223372036854775807", "and of any size");
	outcome = read_create(200, "{\"status\":\"auth_failure\",\"message\":\"Invalid API key 'private_abc'\"}", &job);
	is_text(outcome.reason, "the key was refused", "a part of a key is not repeated");
}

static void
test_find(void)
{
	const char *body = "{\"status\":\"success\",\"total_results\":2,\"results\":["
		"{\"id\":7,\"filename\":\"rf-1.22\",\"job_status\":\"running\"},"
		"{\"id\":8,\"filename\":\"rf-1.2\",\"status\":\"complete\",\"total\":{\"records\":5,\"billable\":4}}]}";
	RfResponse	response = response_of(200, NULL, body);
	RfVerifyJob job;
	RfOutcome	outcome;

	calls()->read_find(&response, NOW, "rf-1.2", &job, &outcome);
	is_outcome(&outcome, "ok yes", "the job of that name");
	is_text(job.id, "8", "not the one whose name begins so");
	ok(job.state == RF_VERIFY_COMPLETE && job.records == 5 && job.billable == 4 && job.processed == -1,
	   "with what is said of it");
	calls()->read_find(&response, NOW, "rf-1.3", &job, &outcome);
	is_outcome(&outcome, "miss yes", "there is none of another name");
	ok(job.id[0] == '\0', "so it was never made");
	rf_response_free(&response);
	response = response_of(200, NULL, "{\"status\":\"success\"}");
	calls()->read_find(&response, NOW, "rf-1.3", &job, &outcome);
	is_outcome(&outcome, "malformed no", "no list is not an empty one");
	rf_response_free(&response);
	response = response_of(500, NULL, "");
	calls()->read_find(&response, NOW, "rf-1.3", &job, &outcome);
	is_outcome(&outcome, "transient no", "looking again is free");
	rf_response_free(&response);
}

static void
is_state(const char *word, RfVerifyState state, const char *expected)
{
	RfVerifyJob job;
	RfOutcome	outcome;
	RfResponse	response;
	char		body[300];

	snprintf(body, sizeof(body),
			 "{\"status\":\"success\",\"id\":9,\"job_status\":\"%s\",\"failure_reason\":\"too odd\",\"total\":{\"processed\":3}}", word);
	response = response_of(200, NULL, body);
	calls()->read_status(&response, NOW, &job, &outcome);
	is_outcome(&outcome, expected, word);
	ok(job.state == state && job.processed == 3, "%s is the state", word);
	rf_response_free(&response);
}

static void
test_status(void)
{
	RfVerifyJob job;
	RfOutcome	outcome;
	RfResponse	response = response_of(200, NULL, "{\"status\":\"success\",\"id\":9}");

	is_state("complete", RF_VERIFY_COMPLETE, "ok yes");
	is_state("uploading", RF_VERIFY_UNDER_WAY, "pending no");
	is_state("parsing", RF_VERIFY_UNDER_WAY, "pending no");
	is_state("queued", RF_VERIFY_UNDER_WAY, "pending no");
	is_state("running", RF_VERIFY_UNDER_WAY, "pending no");
	is_state("something new", RF_VERIFY_UNDER_WAY, "pending no");
	is_state("waiting", RF_VERIFY_NOT_STARTED, "pending no");
	is_state("waiting_analyzed", RF_VERIFY_NOT_STARTED, "pending no");
	is_state("under_review", RF_VERIFY_UNDER_REVIEW, "pending no");
	is_state("failed", RF_VERIFY_FAILED, "permanent no");
	is_state("deleted", RF_VERIFY_DELETED, "permanent no");
	calls()->read_status(&response, NOW, &job, &outcome);
	is_outcome(&outcome, "malformed no", "no state is none");
	rf_response_free(&response);
	response = response_of(200, NULL, "{\"status\":\"success\",\"id\":9,\"job_status\":\"failed\",\"failure_reason\":\"bad file\"}");
	calls()->read_status(&response, NOW, &job, &outcome);
	is_text(outcome.reason, "bad file", "why a job failed is told");
	rf_response_free(&response);
	response = response_of(200, NULL, "{\"status\":\"general_failure\",\"message\":\"This job is not in a state which can be ran\"}");
	calls()->read_started(&response, NOW, &outcome);
	is_outcome(&outcome, "pending no", "too early to start is later");
	rf_response_free(&response);
}

static void
test_results(void)
{
	const char *body = "{\"status\":\"success\",\"total_results\":1001,\"total_pages\":2,\"results\":["
		"{\"data\":{\"email\":\"a@x.org\"},\"verification\":{\"result\":\"valid\",\"flags\":[\"has_dns\",7,\"smtp_connectable\"],\"suggested_correction\":\"\"}},"
		"{\"data\":{\"email\":\"b@x.org\"},\"verification\":{\"result\":\"disposable\",\"suggested_correction\":\"b@y.org\"}},"
		"{\"data\":{\"email\":\"c@x.org\"},\"verification\":{\"result\":\"catchall\"}},"
		"{\"data\":{\"email\":\"d@x.org\"},\"verification\":{\"result\":\"inconclusive\"}},"
		"{\"data\":{\"email\":\"e@x.org\"},\"verification\":{\"result\":0}},"
		"{\"data\":{\"email\":\"f@x.org\"},\"verification\":{}},"
		"{\"data\":{\"email\":\"g@x.org\"}},"
		"{\"data\":{},\"verification\":{\"result\":\"invalid\",\"address_info\":{\"original_email\":\"h@x.org\"}}},"
		"{\"verification\":{\"result\":\"valid\"}},17]}";
	static const char *const verdicts[] = {
		"valid", "invalid", "risky", "unknown", "unknown", "unknown", "unknown", "invalid"
	};
	RfResponse	response = response_of(200, NULL, body);
	RfVerifyPage page;
	RfOutcome	outcome;

	calls()->read_results(&response, NOW, &page, &outcome);
	is_outcome(&outcome, "ok yes", "a page of results");
	ok(page.total_rows == 1001 && page.total_pages == 2, "of two");
	is_int((int64_t) page.nrows, 8, "rows without an address are none");
	for (size_t i = 0; i < page.nrows && i < 8; i++)
		is_text(rf_verdict_text(page.rows[i].verdict), verdicts[i], page.rows[i].email);
	is_text(page.rows[1].raw, "disposable", "the provider's word is kept");
	is_text(page.rows[3].raw, "inconclusive", "one that we do not know, too");
	ok(page.rows[0].nflags == 2 && strcmp(page.rows[0].flags[1], "smtp_connectable") == 0, "so are flags");
	ok(page.rows[0].suggestion == NULL && strcmp(page.rows[1].suggestion, "b@y.org") == 0, "and a better address");
	rf_verify_page_free(&page);
	rf_response_free(&response);

	response = response_of(200, NULL, "{\"status\":\"auth_failure\",\"results\":[{\"data\":{\"email\":\"a@x.org\"},\"verification\":{\"result\":\"valid\"}}]}");
	calls()->read_results(&response, NOW, &page, &outcome);
	is_outcome(&outcome, "credential no wide", "no success");
	ok(page.nrows == 0 && page.total_pages == -1, "no verdicts");
	rf_response_free(&response);
	response = response_of(200, NULL, "{\"status\":\"success\",\"total_pages\":1}");
	calls()->read_results(&response, NOW, &page, &outcome);
	is_outcome(&outcome, "malformed no", "no results are not nobody");
	rf_response_free(&response);
}

static void
is_check(int status, const char *body, const char *expected, const char *verdict)
{
	RfResponse	response = response_of(status, NULL, body);
	RfVerification result;
	RfOutcome	outcome;
	char		what[200];

	memset(&outcome, 'x', sizeof(outcome));
	calls()->read_check(&response, NOW, span("a@x.org"), &result, &outcome);
	snprintf(what, sizeof(what), "check %d %.80s: %s", status, body, expected);
	is_outcome(&outcome, expected, what);
	if (verdict == NULL)
		ok(result.email == NULL && result.raw == NULL && result.verdict == RF_VERDICT_UNKNOWN,
		   "there is no verdict");
	else
		is_text(rf_verdict_text(result.verdict), verdict, verdict);
	rf_verification_free(&result);
	rf_response_free(&response);
}

static void
test_check(void)
{
	RfResponse	response;
	RfVerifyBalance balance;
	RfOutcome	outcome;

	is_check(200, "{\"status\":\"success\",\"result\":\"valid\"}", "ok yes", "valid");
	is_check(200, "{\"status\":\"success\",\"result\":\"unknown\"}", "ok yes", "unknown");
	is_check(200, "{\"status\":\"success\",\"result\":\"VALID\"}", "ok yes", "unknown");
	is_check(200, "{\"result\":\"valid\"}", "malformed perhaps", NULL);
	is_check(200, "{\"status\":\"success\"}", "malformed perhaps", NULL);
	is_check(200, "{\"status\":\"success\",\"result\":0}", "malformed perhaps", NULL);
	is_check(200, "{\"status\":\"general_failure\",\"result\":\"valid\"}", "permanent no", NULL);
	is_check(500, "{\"status\":\"success\",\"result\":\"valid\"}", "ambiguous perhaps", NULL);

	response = response_of(200, NULL, "{\"status\":\"success\",\"credits_info\":{\"free_credits_remaining\":0}}");
	calls()->read_balance(&response, NOW, &balance, &outcome);
	ok(outcome.class == RF_OUTCOME_OK && balance.paid == -1 && balance.free == 0,
	   "credits that are not said are not 0");
	rf_response_free(&response);
}

static RfOutcome
read_vector(const char *endpoint, const RfResponse *response)
{
	RfVerifyJob job;
	RfVerifyPage page;
	RfVerification result;
	RfVerifyBalance balance;
	RfOutcome	outcome;

	if (strcmp(endpoint, "jobs/create") == 0)
		calls()->read_create(response, NOW, &job, &outcome);
	else if (strcmp(endpoint, "jobs/search") == 0)
	{
		calls()->read_find(response, NOW, "Created from Array.csv", &job, &outcome);
		is_text(job.id, "277461", "the recorded job is found");
	}
	else if (strcmp(endpoint, "jobs/status") == 0)
		calls()->read_status(response, NOW, &job, &outcome);
	else if (strcmp(endpoint, "jobs/results") == 0)
	{
		calls()->read_results(response, NOW, &page, &outcome);
		ok(page.nrows == 1 && page.rows[0].verdict == RF_VERDICT_INVALID, "the recorded verdict");
		rf_verify_page_free(&page);
	}
	else if (strcmp(endpoint, "single/check") == 0)
	{
		calls()->read_check(response, NOW, span("a@x.org"), &result, &outcome);
		rf_verification_free(&result);
	}
	else if (strcmp(endpoint, "jobs/start") == 0 || strcmp(endpoint, "poe/confirm") == 0)
		calls()->read_started(response, NOW, &outcome);
	else
		calls()->read_balance(response, NOW, &balance, &outcome);
	return outcome;
}

static void
test_vectors(void)
{
	json_t	   *vectors = load_vectors("neverbounce.json");
	json_t	   *vector;
	size_t		i;

	if (vectors == NULL)
	{
		skip("no vectors here: name their folder in RF_VECTORS");
		return;
	}
	json_array_foreach(vectors, i, vector)
	{
		RfResponse	response = vector_response(vector);
		RfOutcome	outcome = read_vector(vector_text(vector, "endpoint"), &response);

		is_text(rf_outcome_class_text(outcome.class), vector_text(vector, "class"),
				vector_text(vector, "name"));
		rf_response_free(&response);
	}
	ok(json_array_size(vectors) >= 20, "the vectors were all there");
	json_decref(vectors);
}

int
main(void)
{
	test_requests();
	test_bad_requests();
	test_addresses();
	test_create();
	test_find();
	test_status();
	test_results();
	test_check();
	test_vectors();
	return done_testing();
}
