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
