/*-------------------------------------------------------------------------
 *
 * batch_kinds.c
 *	  The tasks whose jobs are paid for together.
 *
 * IDENTIFICATION
 *	  src/worker/batch_kinds.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "outbox/found.h"
#include "worker/batch_kind.h"

static int	compare_items(const void *a, const void *b);

static const RfBatchKind *const kinds[] = {
	&rf_verify_kind,
	&rf_enrich_kind
};

const RfBatchKind *
rf_batch_kind(const char *task)
{
	for (size_t i = 0; i < lengthof(kinds); i++)
	{
		if (strcmp(kinds[i]->task, task) == 0)
			return kinds[i];
	}
	return NULL;
}

const RfBatchKind *
rf_batch_kind_of(const RfClaimedJob *job)
{
	return rf_found_exists(job) ? &rf_enrich_kind : rf_batch_kind(job->task);
}

int
rf_batch_items_once(const char **items, int count)
{
	int			kept = 0;

	qsort(items, count, sizeof(char *), compare_items);
	for (int i = 0; i < count; i++)
	{
		if (i == 0 || strcmp(items[i], items[i - 1]) != 0)
			items[kept++] = items[i];
	}
	return kept;
}

RfText *
rf_batch_items_texts(const char **items, int count)
{
	RfText	   *texts = MemoryContextAllocHuge(CurrentMemoryContext, (count + 1) * sizeof(RfText));

	for (int i = 0; i < count; i++)
		texts[i] = rf_text_of(items[i]);
	return texts;
}

static int
compare_items(const void *a, const void *b)
{
	return strcmp(*(const char *const *) a, *(const char *const *) b);
}
