/*-------------------------------------------------------------------------
 *
 * enrich_kind.c
 *	  enrich_people as a kind of batch: see batch_kind.h.
 *
 * What a search leaves out, paid for by person id, ten at once.  The answer
 * holds it all; a lost one cannot be looked for, and is never asked again.
 *
 * IDENTIFICATION
 *	  src/worker/enrich_kind.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "outbox/enrich_args.h"
#include "outbox/found.h"
#include "outbox/person_cache.h"
#include "settings.h"
#include "worker/batch_kind.h"

typedef struct Rows
{
	RfEnrichment found;
	char	  **ids;			/* that were asked for, in order */
	size_t		nids;
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
static void read_answer(const RfBatch *batch, const RfProvider *provider,
						const RfResponse *response, int64 now_s, const char *name,
						const char **items, int count, RfBatchAnswer *answer);
static Rows *make_rows(const char **items, int count);
static void write_rows(const RfBatch *batch, const char *provider, const void *rows, bool over);
static void free_rows(void *rows);

const RfBatchKind rf_enrich_kind = {
	.task = RF_ENRICH_TASK,
	.endpoint = RF_ENRICH_TASK,
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
	return rf_enrich_max_wait;
}

static int64
poll_us(void)
{
	return USECS_PER_SEC;		/* nothing is polled */
}

static int
most(const RfProvider *provider)
{
	return (int) provider->people->enrich_max;
}

static int
fit(const RfProvider *provider, const char **items, int count)
{
	return Min(count, (int) provider->people->enrich_max);
}

static bool
is_single(int count, bool waited_for)
{
	return false;
}

static int
at_once(const RfProvider *provider)
{
	return 0;
}

static bool
can_find(const RfBatch *batch)
{
	return false;
}

static bool
answers_at_once(const RfBatch *batch)
{
	return true;
}

static void
read_items(const RfClaimedJob *job, RfBatchItems *items)
{
	RfEnrichArgs args;
	RfFieldError error;

	memset(items, 0, sizeof(*items));
	items->max_age_us = PG_INT64_MAX;
	if (rf_found_exists(job))
	{
		items->nitems = rf_found_items(job, &items->items);
		return;
	}
	if (!rf_enrich_args_read(job->args, &args, &error))
		return;
	items->items = (const char **) args.ids;
	items->nitems = rf_batch_items_once(items->items, args.nids);
}

static void
look(const char *provider, const char **items, int count, RfBatchKnown *known)
{
	RfKeptPerson *kept = MemoryContextAllocHuge(CurrentMemoryContext, (count + 1) * sizeof(RfKeptPerson));

	rf_person_cache_find(provider, items, count, false, kept);
	for (int i = 0; i < count; i++)
	{
		known[i].found = kept[i].found;
		known[i].found_at = kept[i].fetched_at;
		known[i].keeps_us = kept[i].found ? rf_person_cache_keeps_us() : 0;
	}
}

static Jsonb *
make_result(const RfClaimedJob *job, const char *provider)
{
	RfEnrichArgs args;
	RfFieldError error;

	if (rf_found_exists(job))
		return rf_found_result(job);
	if (!rf_enrich_args_read(job->args, &args, &error))
		return NULL;
	return rf_person_cache_rows(provider, (const char **) args.ids, args.nids);
}

static bool
build(const RfBatch *batch, const RfProvider *provider,
	  const RfAccountConfig *account, const char *name,
	  const char **items, int count, RfRequest *request)
{
	RfText	   *texts;
	bool		built;

	if (batch->step != RF_BATCH_SEND)
		return false;
	texts = rf_batch_items_texts(items, count);
	built = provider->people->build_enrich(account, texts, count, request);
	pfree(texts);
	return built;
}

static void
read_answer(const RfBatch *batch, const RfProvider *provider,
			const RfResponse *response, int64 now_s, const char *name,
			const char **items, int count, RfBatchAnswer *answer)
{
	Rows	   *rows = make_rows(items, count);
	RfText	   *texts = rf_batch_items_texts(items, count);

	if (rows == NULL)
		rf_outcome_init(&answer->outcome, RF_OUTCOME_AMBIGUOUS, response->status);
	else
		provider->people->read_enrich(response, now_s, texts, count, &rows->found, &answer->outcome);
	pfree(texts);
	if (rows != NULL && (answer->outcome.class == RF_OUTCOME_OK || answer->outcome.class == RF_OUTCOME_MISS))
		answer->rows = rows;
	else if (rows != NULL)
		free_rows(rows);
}

/* NULL: out of memory. */
static Rows *
make_rows(const char **items, int count)
{
	Rows	   *rows = calloc(1, sizeof(Rows));

	if (rows == NULL)
		return NULL;
	rows->ids = calloc(count, sizeof(char *));
	for (int i = 0; i < count && rows->ids != NULL; i++)
	{
		rows->ids[i] = strdup(items[i]);
		if (rows->ids[i] == NULL)
			break;
		rows->nids++;
	}
	if ((int) rows->nids == count)
		return rows;
	free_rows(rows);
	return NULL;
}

static void
write_rows(const RfBatch *batch, const char *provider, const void *rows, bool over)
{
	const Rows *answer = rows;
	size_t		count = answer != NULL ? answer->nids : 0;
	RfPerson   *people;

	if (count == 0)
		return;
	people = palloc0(count * sizeof(RfPerson));
	for (size_t i = 0; i < count; i++)
	{
		people[i].confidence = RF_CONFIDENCE_NO_EMAIL;
		if (i < answer->found.npeople)
			people[i] = answer->found.people[i];
	}
	rf_person_cache_keep(provider, (const char *const *) answer->ids, people, count);
}

static void
free_rows(void *rows)
{
	Rows	   *answer = rows;

	rf_enrichment_free(&answer->found);
	for (size_t i = 0; i < answer->nids; i++)
		free(answer->ids[i]);
	free(answer->ids);
	free(answer);
}
