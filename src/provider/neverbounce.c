/*-------------------------------------------------------------------------
 *
 * neverbounce.c
 *	  Adapter for NeverBounce: the requests.
 *
 * Every call is a POST with a JSON body, the key in it: it never stands in a URL,
 * which proxies and logs keep.
 *
 * A job is made with everything at once.  Without input_location it is refused,
 * without auto_parse it never runs although it was paid for; the file name is the
 * only thing by which a job whose answer was lost is found again.
 *
 * Many small jobs get an account locked: at most ten for 100000 addresses an
 * hour.  So jobs are as large as they may be.
 *
 * What an answer says is read in neverbounce_answer.c and
 * neverbounce_verdicts.c.
 *
 * IDENTIFICATION
 *	  src/provider/neverbounce.c
 *
 *-------------------------------------------------------------------------
 */
#include <stdio.h>
#include <string.h>

#include "codec/json_text.h"
#include "provider/lookup.h"
#include "provider/neverbounce.h"

#include "provider/adapters.h"

/* The most the provider gives; 10 unless asked. */
#define PAGE_ROWS		1000

/* 25 MB of input; less, to be safe from how they count. */
#define MAX_BYTES		24000000
#define MAX_ITEMS		100000
#define MAX_JOBS_A_DAY	50

/* Wildcards or lists in a search would find somebody else's job. */
#define FILENAME_CHARS \
	"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-"

static bool build_create(const RfAccountConfig *account, const RfText *emails,
						 size_t count, const char *filename,
						 RfRequest *request);
static bool build_find(const RfAccountConfig *account, const char *filename,
					   RfRequest *request);
static bool build_parse(const RfAccountConfig *account, const char *job_id,
						RfRequest *request);
static bool build_start(const RfAccountConfig *account, const char *job_id,
						RfRequest *request);
static bool build_status(const RfAccountConfig *account, const char *job_id,
						 RfRequest *request);
static bool build_results(const RfAccountConfig *account, const char *job_id,
						  int page, RfRequest *request);
static bool build_check(const RfAccountConfig *account, RfText email,
						int timeout_s, RfRequest *request);
static bool build_balance(const RfAccountConfig *account, RfRequest *request);
static bool is_filename(const char *filename);
static bool add_items(RfBuffer *body, const RfText *emails, size_t count);
static bool build_for_job(const RfAccountConfig *account, const char *path,
						  const char *job_id, const char *rest,
						  RfRequest *request);
static bool finish(const RfAccountConfig *account, const char *path,
				   RfBuffer *body, bool good, RfRequest *request);

static const RfVerifyCalls verify = {
	.max_items = MAX_ITEMS,
	.max_bytes = MAX_BYTES,
	.max_jobs_at_once = 10,
	.build_create = build_create,
	.read_create = rf_neverbounce_read_create,
	.build_find = build_find,
	.read_find = rf_neverbounce_read_find,
	.build_parse = build_parse,
	.build_start = build_start,
	.read_started = rf_neverbounce_read_started,
	.build_status = build_status,
	.read_status = rf_neverbounce_read_status,
	.build_results = build_results,
	.read_results = rf_neverbounce_read_results,
	.build_check = build_check,
	.read_check = rf_neverbounce_read_check,
	.build_balance = build_balance,
	.read_balance = rf_neverbounce_read_balance,
};

/* Job runs; other requests are not limited. */
static const RfDefaultLimit default_limits[] = {{"verify_job", MAX_JOBS_A_DAY, 86400}, {NULL, 0, 0}};

const RfProvider rf_provider_neverbounce = {
	.name = "neverbounce",
	.base_url_us = "https://api.neverbounce.com",
	.default_limits = default_limits,
	.verify = &verify,
};

static bool
build_create(const RfAccountConfig *account, const RfText *emails,
			 size_t count, const char *filename, RfRequest *request)
{
	RfBuffer	body = {0};
	bool		good;

	rf_buffer_add_text(&body, "{");
	rf_json_text_member(&body, "input_location", rf_text_of("supplied"));
	rf_json_text_member(&body, "filename", rf_text_of(filename));
	rf_buffer_add_text(&body,
					   ",\"auto_parse\":true,\"auto_start\":true,\"run_sample\":false"
					   ",\"allow_manual_review\":false,\"input\":[");
	good = count > 0 && count <= MAX_ITEMS && is_filename(filename) &&
		add_items(&body, emails, count) && body.len <= MAX_BYTES;
	rf_buffer_add_text(&body, "]");
	return finish(account, "/v4.2/jobs/create", &body, good, request);
}

/* The newest first would be as good: no two of ours have one name. */
static bool
build_find(const RfAccountConfig *account, const char *filename,
		   RfRequest *request)
{
	RfBuffer	body = {0};

	rf_buffer_add_text(&body, "{");
	rf_json_text_member(&body, "filename", rf_text_of(filename));
	rf_buffer_add_text(&body, ",\"page\":1,\"items_per_page\":10");
	return finish(account, "/v4.2/jobs/search", &body, is_filename(filename),
				  request);
}

static bool
build_parse(const RfAccountConfig *account, const char *job_id,
			RfRequest *request)
{
	return build_for_job(account, "/v4.2/jobs/parse", job_id,
						 ",\"auto_start\":true", request);
}

static bool
build_start(const RfAccountConfig *account, const char *job_id,
			RfRequest *request)
{
	return build_for_job(account, "/v4.2/jobs/start", job_id,
						 ",\"run_sample\":false,\"allow_manual_review\":false",
						 request);
}

static bool
build_status(const RfAccountConfig *account, const char *job_id,
			 RfRequest *request)
{
	return build_for_job(account, "/v4.2/jobs/status", job_id, "", request);
}

static bool
build_results(const RfAccountConfig *account, const char *job_id, int page,
			  RfRequest *request)
{
	char		rest[64];

	snprintf(rest, sizeof(rest), ",\"page\":%d,\"items_per_page\":%d", page,
			 PAGE_ROWS);
	return page >= 1 &&
		build_for_job(account, "/v4.2/jobs/results", job_id, rest, request);
}

static bool
build_check(const RfAccountConfig *account, RfText email, int timeout_s,
			RfRequest *request)
{
	char		folded[RF_VERIFY_ADDRESS_MAX + 1];
	RfBuffer	body = {0};
	char		rest[64];
	bool		good = rf_verify_address(email, folded) == RF_ADDRESS_OK;

	rf_buffer_add_text(&body, "{");
	rf_json_text_member(&body, "email", rf_text_of(folded));
	snprintf(rest, sizeof(rest), ",\"timeout\":%d,\"credits_info\":true",
			 timeout_s > 0 ? timeout_s : 10);
	rf_buffer_add_text(&body, rest);
	return finish(account, "/v4.2/single/check", &body, good, request);
}

static bool
build_balance(const RfAccountConfig *account, RfRequest *request)
{
	RfBuffer	body = {0};

	rf_buffer_add_text(&body, "{");
	return finish(account, "/v4.2/account/info", &body, true, request);
}

static bool
is_filename(const char *filename)
{
	size_t		len = strlen(filename);

	return len > 0 && len <= RF_VERIFY_FILENAME_MAX &&
		strspn(filename, FILENAME_CHARS) == len;
}

/* What is no address is never sent, whoever asks for it. */
static bool
add_items(RfBuffer *body, const RfText *emails, size_t count)
{
	char		folded[RF_VERIFY_ADDRESS_MAX + 1];

	for (size_t i = 0; i < count; i++)
	{
		if (rf_verify_address(emails[i], folded) != RF_ADDRESS_OK)
			return false;
		rf_buffer_add_text(body, i == 0 ? "{" : ",{");
		rf_json_text_member(body, "email", rf_text_of(folded));
		rf_buffer_add_text(body, "}");
	}
	return true;
}

/* Ids are numbers for the provider and text for us: no double holds them all. */
static bool
build_for_job(const RfAccountConfig *account, const char *path,
			  const char *job_id, const char *rest, RfRequest *request)
{
	size_t		len = strlen(job_id);
	RfBuffer	body = {0};

	rf_buffer_add_text(&body, "{\"job_id\":");
	rf_buffer_add_text(&body, job_id);
	rf_buffer_add_text(&body, rest);
	return finish(account, path, &body,
				  len > 0 && len <= RF_VERIFY_JOB_ID_MAX &&
				  strspn(job_id, "0123456789") == len, request);
}

/* Adds the key and closes the body. */
static bool
finish(const RfAccountConfig *account, const char *path, RfBuffer *body,
	   bool good, RfRequest *request)
{
	if (good && account->secret != NULL)
		rf_json_text_member(body, "key", rf_text_of(account->secret));
	rf_buffer_add_text(body, "}");
	good = good &&
		rf_lookup_set_url(&rf_provider_neverbounce, account, path, request) &&
		rf_lookup_set_json(request, body);
	rf_buffer_free(body);
	if (!good)
		rf_request_free(request);
	return good;
}
