/*-------------------------------------------------------------------------
 *
 * rejection.c
 *	  Webhooks that were not accepted: counted, and the last ones kept.
 *
 * One ring for the cluster under a spinlock that is held for copying one entry.
 * Counts are kept for as many databases as can have a dispatcher; what comes
 * to further ones is not counted.
 *
 * IDENTIFICATION
 *	  src/shmem/rejection.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "miscadmin.h"
#include "storage/shmem.h"
#include "storage/spin.h"
#include "utils/timestamp.h"

#include "shmem/shared.h"
#include "shmem/rejection.h"

#define SHARED_NAME "roleferry rejections"

typedef struct Count
{
	Oid			database;		/* InvalidOid: free */
	int64		count;
} Count;

typedef struct Area
{
	slock_t		lock;			/* protects the rest */
	uint64		noted;			/* the next goes to noted % kept */
	Count		counts[RF_MAX_DISPATCHERS];
	RfRejection ring[RF_REJECTIONS_KEPT];
} Area;

static Area *area = NULL;

static Count *find_count(Oid database);

Size
rf_rejection_shared_size(void)
{
	return MAXALIGN(sizeof(Area));
}

void
rf_rejection_shared_create(void)
{
	bool		found;

	area = ShmemInitStruct(SHARED_NAME, rf_rejection_shared_size(), &found);
	if (found)
		return;
	memset(area, 0, sizeof(Area));
	SpinLockInit(&area->lock);
}

void
rf_rejection_note(const RfRejection *rejection)
{
	TimestampTz now = GetCurrentTimestamp();
	RfRejection *entry;
	Count	   *count;

	if (area == NULL)
		return;
	SpinLockAcquire(&area->lock);
	entry = &area->ring[area->noted++ % RF_REJECTIONS_KEPT];
	*entry = *rejection;
	entry->database = MyDatabaseId;
	entry->at = now;
	count = find_count(MyDatabaseId);
	if (count != NULL)
		count->count++;
	SpinLockRelease(&area->lock);
}

int
rf_rejection_list(RfRejection **list, int64 *total)
{
	RfRejection *copy = palloc(sizeof(area->ring));
	uint64		noted;
	Count	   *count;
	int			n = 0;

	*list = palloc(sizeof(area->ring));
	*total = 0;
	if (area == NULL)
		return 0;
	SpinLockAcquire(&area->lock);
	memcpy(copy, area->ring, sizeof(area->ring));
	noted = area->noted;
	count = find_count(MyDatabaseId);
	if (count != NULL)
		*total = count->count;
	SpinLockRelease(&area->lock);

	for (uint64 i = 1; i <= Min(noted, RF_REJECTIONS_KEPT); i++)
	{
		const RfRejection *entry = &copy[(noted - i) % RF_REJECTIONS_KEPT];

		if (entry->database == MyDatabaseId)
			(*list)[n++] = *entry;
	}
	pfree(copy);
	return n;
}

/* The database's own, or a free one made its own; NULL: there is none. */
static Count *
find_count(Oid database)
{
	for (int i = 0; i < RF_MAX_DISPATCHERS; i++)
	{
		Count	   *count = &area->counts[i];

		if (count->database == InvalidOid)
			count->database = database;
		if (count->database == database)
			return count;
	}
	return NULL;
}
