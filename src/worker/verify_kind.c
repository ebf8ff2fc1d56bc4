/*-------------------------------------------------------------------------
 *
 * verify_kind.c
 *	  verify_emails as a kind of batch: see batch_kind.h.
 *
 * One address that somebody waits for is asked about by itself: it costs the
 * same, takes one request instead of three, and none of the few jobs a day that
 * the provider allows.
 *
 * IDENTIFICATION
 *	  src/worker/verify_kind.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "outbox/verdict.h"
#include "outbox/verify_args.h"
#include "settings.h"
#include "worker/batch_kind.h"

/* The provider's part of a single check; after that its verdict is unknown. */
#define CHECK_TIMEOUT_S	10

typedef struct Rows
{
	RfVerifyPage page;
} Rows;

static int	max_wait(void);
static int64 poll_us(void);
static int	most(const RfProvider *provider);
static int	fit(const RfProvider *provider, const char **items, int count);
static bool is_single(int count, bool waited_for);
static int	at_once(const RfProvider *provider);
static bool can_find(const RfBatch *batch);
static bool answers_at_once(const RfBatch *batch);
static void read_items(const RfClaimedJob *job, RfBatchItems *items);
static void look(const char *provider, const char **items, int count, RfBatchKnown *known);
static Jsonb *make_result(const RfClaimedJob *job, const char *provider);
static bool build(const RfBatch *batch, const RfProvider *provider,
				  const RfAccountConfig *account, const char *name,
				  const char **items, int count, RfRequest *request);
static bool build_send(const RfBatch *batch, const RfVerifyCalls *calls,
					   const RfAccountConfig *account, const char *name,
					   const char **items, int count, RfRequest *request);
static void read_answer(const RfBatch *batch, const RfProvider *provider,
						const RfResponse *response, int64 now_s, const char *name,
						const char **items, int count, RfBatchAnswer *answer);
static void read_send(const RfBatch *batch, const RfVerifyCalls *calls,
					  const RfResponse *response, int64 now_s,
					  const char *only_item, RfBatchAnswer *answer);
static void read_page(const RfBatch *batch, const RfVerifyCalls *calls,
					  const RfResponse *response, int64 now_s, RfBatchAnswer *answer);
static void write_rows(const RfBatch *batch, const char *provider, const void *rows, bool over);
static void free_rows(void *rows);

const RfBatchKind rf_verify_kind = {
	.task = "verify_emails",
	.endpoint = "verify_job",
	.max_wait = max_wait,
	.poll_us = poll_us,
	.most = most,
	.fit = fit,
	.is_single = is_single,
	.at_once = at_once,
	.can_find = can_find,
	.answers_at_once = answers_at_once,
	.items = read_items,
	.look = look,
	.result = make_result,
	.build = build,
	.read = read_answer,
	.write = write_rows,
	.free_rows = free_rows,
};

static int
max_wait(void)
{
	return rf_verify_max_wait;
}

static int64
poll_us(void)
{
	return (int64) rf_verify_poll_interval * 1000;
}

static int
most(const RfProvider *provider)
{
	return (int) Min((size_t) rf_verify_max_batch, provider->verify->max_items);
}

static int
fit(const RfProvider *provider, const char **items, int count)
{
	RfText	   *texts;
	int			taken;

	count = Min(count, rf_verify_max_batch);
	texts = rf_batch_items_texts(items, count);
	taken = (int) rf_verify_chunk(provider->verify, texts, count);
	pfree(texts);
	return taken;
}

static bool
is_single(int count, bool waited_for)
{
	return count == 1 && waited_for;
}

static int
at_once(const RfProvider *provider)
{
	return provider->verify->max_jobs_at_once;
}

static bool
can_find(const RfBatch *batch)
{
	return !batch->single;
}

static bool
answers_at_once(const RfBatch *batch)
{
	return batch->single;
}

static void
read_items(const RfClaimedJob *job, RfBatchItems *items)
{
	RfVerifyArgs args;
	RfFieldError error;

	memset(items, 0, sizeof(*items));
	if (!rf_verify_args_read(job->args, &args, &error))
		return;
	items->max_age_us = args.max_age_us;
	items->items = MemoryContextAllocHuge(CurrentMemoryContext, (args.nemails + 1) * sizeof(char *));
	for (int i = 0; i < args.nemails; i++)
	{
		char		folded[RF_VERIFY_ADDRESS_MAX + 1];

		if (args.emails[i] != NULL &&
			rf_verify_address(rf_text_of(args.emails[i]), folded) == RF_ADDRESS_OK)
			items->items[items->nitems++] = pstrdup(folded);
	}
	items->nitems = rf_batch_items_once(items->items, items->nitems);
}

static void
look(const char *provider, const char **items, int count, RfBatchKnown *known)
{
	RfKeptVerdict *kept = MemoryContextAllocHuge(CurrentMemoryContext, (count + 1) * sizeof(RfKeptVerdict));

	rf_verdict_find(items, count, false, kept);
	for (int i = 0; i < count; i++)
	{
		known[i].found = kept[i].found;
		known[i].found_at = kept[i].checked_at;
		known[i].keeps_us = kept[i].found ? rf_verdict_keeps_us(kept[i].status) : 0;
	}
}

static Jsonb *
make_result(const RfClaimedJob *job, const char *provider)
{
	RfVerifyArgs args;
	RfFieldError error;

	if (!rf_verify_args_read(job->args, &args, &error))
		return NULL;
	return rf_verdict_rows(args.emails, args.nemails);
}

static bool
build(const RfBatch *batch, const RfProvider *provider,
	  const RfAccountConfig *account, const char *name,
	  const char **items, int count, RfRequest *request)
{
	const RfVerifyCalls *calls = provider->verify;

	switch (batch->step)
	{
		case RF_BATCH_SEND:
			return build_send(batch, calls, account, name, items, count, request);
		case RF_BATCH_FIND:
			return calls->build_find(account, name, request);
		case RF_BATCH_POLL:
			return calls->build_status(account, batch->provider_job, request);
		case RF_BATCH_FETCH:
			return calls->build_results(account, batch->provider_job, batch->page, request);
		case RF_BATCH_DONE:
		case RF_BATCH_REFUSED:
		case RF_BATCH_FAILED:
		case RF_BATCH_UNKNOWN:
			break;
	}
	return false;
}

static bool
build_send(const RfBatch *batch, const RfVerifyCalls *calls,
		   const RfAccountConfig *account, const char *name,
		   const char **items, int count, RfRequest *request)
{
	RfText	   *texts;
	bool		built;

	if (batch->single)
		return calls->build_check(account, rf_text_of(items[0]), CHECK_TIMEOUT_S, request);
	texts = rf_batch_items_texts(items, count);
	built = calls->build_create(account, texts, count, name, request);
	pfree(texts);
	return built;
}

static void
read_answer(const RfBatch *batch, const RfProvider *provider,
			const RfResponse *response, int64 now_s, const char *name,
			const char **items, int count, RfBatchAnswer *answer)
{
	const RfVerifyCalls *calls = provider->verify;
	RfVerifyJob job;

	memset(&job, 0, sizeof(job));
	job.processed = -1;
	switch (batch->step)
	{
		case RF_BATCH_SEND:
			read_send(batch, calls, response, now_s, count == 1 ? items[0] : "", answer);
			return;
		case RF_BATCH_FIND:
			calls->read_find(response, now_s, name, &job, &answer->outcome);
			strlcpy(answer->provider_job, job.id, sizeof(answer->provider_job));
			return;
		case RF_BATCH_POLL:
			calls->read_status(response, now_s, &job, &answer->outcome);
			answer->items_done = job.processed;
			return;
		case RF_BATCH_FETCH:
		case RF_BATCH_DONE:
		case RF_BATCH_REFUSED:
		case RF_BATCH_FAILED:
		case RF_BATCH_UNKNOWN:
			read_page(batch, calls, response, now_s, answer);
			return;
	}
}

static void
read_send(const RfBatch *batch, const RfVerifyCalls *calls,
		  const RfResponse *response, int64 now_s,
		  const char *only_item, RfBatchAnswer *answer)
{
	RfVerifyJob job;
	Rows	   *rows;

	if (!batch->single)
	{
		calls->read_create(response, now_s, &job, &answer->outcome);
		strlcpy(answer->provider_job, job.id, sizeof(answer->provider_job));
		return;
	}
	rows = calloc(1, sizeof(Rows));
	if (rows != NULL)
		rows->page.rows = calloc(1, sizeof(RfVerification));
	if (rows == NULL || rows->page.rows == NULL)
	{
		free(rows);
		rf_outcome_init(&answer->outcome, RF_OUTCOME_AMBIGUOUS, response->status);
		return;
	}
	calls->read_check(response, now_s, rf_text_of(only_item), &rows->page.rows[0], &answer->outcome);
	rows->page.nrows = answer->outcome.class == RF_OUTCOME_OK ? 1 : 0;
	answer->rows = rows;
}

/* An empty page is the last one, whatever is said about how many there are. */
static void
read_page(const RfBatch *batch, const RfVerifyCalls *calls,
		  const RfResponse *response, int64 now_s, RfBatchAnswer *answer)
{
	Rows	   *rows = calloc(1, sizeof(Rows));

	if (rows == NULL)
	{
		rf_outcome_init(&answer->outcome, RF_OUTCOME_TRANSIENT, response->status);
		return;
	}
	calls->read_results(response, now_s, &rows->page, &answer->outcome);
	answer->rows = rows;
	answer->more = rows->page.nrows > 0 &&
		(rows->page.total_pages < 0 || batch->page < rows->page.total_pages);
	answer->items_done = -1;
}

static void
write_rows(const RfBatch *batch, const char *provider, const void *rows, bool over)
{
	const Rows *page = rows;

	if (page != NULL && page->page.nrows > 0)
		rf_verdict_keep(batch->id, provider, page->page.rows, page->page.nrows);
	if (over)
		rf_verdict_keep_rest(batch->id, provider);
}

static void
free_rows(void *rows)
{
	Rows	   *page = rows;

	rf_verify_page_free(&page->page);
	free(page);
}
