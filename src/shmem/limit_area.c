/*-------------------------------------------------------------------------
 *
 * limit_area.c
 *	  Rate windows that all processes share: their memory.
 *
 * The area is cut into units; a window takes as many as it needs, next to
 * each other.  Those of limits are put in from below and stay as long as the
 * limit does, so that they always have their place; those by key are put in
 * from above and make room when nothing in them counts any more.
 *
 * IDENTIFICATION
 *	  src/shmem/limit_area.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "storage/lwlock.h"
#include "storage/shmem.h"

#include "settings.h"
#include "shmem/limit_area.h"
#include "shmem/shared.h"

#define AREA_NAME	"roleferry limits"
#define UNIT_BYTES	256

typedef struct Area
{
	LWLock	   *lock;
	int			nunits;
	int			nbuckets;
	char	   *units;			/* the same address in every process */
	uint8	   *used;			/* one for each unit */
	int32	   *buckets;		/* first unit of the first of each, or -1 */
} Area;

static Area *area = NULL;
uint64		rf_limit_stamp = 0;

static RfLimit *at_unit(int32 unit);
static int32 unit_of(const RfLimit *limit);
static int32 *bucket_of(const RfLimitKey *key);
static int32 find_hole(int nunits, bool from_above);
static bool drop_idle(Oid database);

static int
count_units(void)
{
	return (int) ((Size) rf_limiter_memory * 1024 / (UNIT_BYTES + 1 + sizeof(int32)));
}

Size
rf_limit_shared_size(void)
{
	Size		nunits = count_units();

	return MAXALIGN(sizeof(Area)) + nunits * UNIT_BYTES +
		MAXALIGN(nunits * sizeof(int32)) + MAXALIGN(nunits);
}

void
rf_limit_shared_create(void *lock)
{
	bool		found;
	char	   *rest;

	area = ShmemInitStruct(AREA_NAME, rf_limit_shared_size(), &found);
	if (found)
		return;
	memset(area, 0, rf_limit_shared_size());
	area->lock = lock;
	area->nunits = area->nbuckets = count_units();
	rest = (char *) area + MAXALIGN(sizeof(Area));
	area->units = rest;
	rest += (Size) area->nunits * UNIT_BYTES;
	area->buckets = (int32 *) rest;
	rest += MAXALIGN(area->nbuckets * sizeof(int32));
	area->used = (uint8 *) rest;
	for (int i = 0; i < area->nbuckets; i++)
		area->buckets[i] = -1;
}

int
rf_limit_units(uint32 max, bool credits)
{
	return (int) ((sizeof(RfLimit) + rf_rate_window_size(max, credits) + UNIT_BYTES - 1) / UNIT_BYTES);
}

int
rf_limit_total_units(void)
{
	return area->nunits;
}

LWLock *
rf_limit_area_lock(void)
{
	return area->lock;
}

static RfLimit *
at_unit(int32 unit)
{
	return (RfLimit *) (area->units + (Size) unit * UNIT_BYTES);
}

static int32
unit_of(const RfLimit *limit)
{
	return (int32) (((const char *) limit - area->units) / UNIT_BYTES);
}

RfRateWindow *
rf_limit_window(RfLimit *limit)
{
	return (RfRateWindow *) (limit + 1);
}

static int32 *
bucket_of(const RfLimitKey *key)
{
	uint64		hash = key->key_hash ^ ((uint64) key->database << 32);

	/* The server is no part of it: a limit goes with its account. */
	hash = (hash ^ (uint64) key->limit_id) * UINT64CONST(0x9E3779B97F4A7C15);
	return &area->buckets[(hash >> 20) % area->nbuckets];
}

RfLimit *
rf_limit_area_find(const RfLimitKey *key)
{
	for (int32 unit = *bucket_of(key); unit >= 0; unit = at_unit(unit)->next)
	{
		RfLimit    *limit = at_unit(unit);

		if (limit->key.key_hash == key->key_hash && limit->key.limit_id == key->limit_id &&
			limit->key.database == key->database)
			return limit;
	}
	return NULL;
}

/* used: 1 begins a window, 2 belongs to the one before, 0 is free. */
int32
rf_limit_area_next(int32 unit, RfLimit **limit)
{
	for (; unit < area->nunits; unit++)
	{
		if (area->used[unit] != 1)
			continue;
		*limit = at_unit(unit);
		return unit + 1;
	}
	return -1;
}

RfLimit *
rf_limit_area_make(const RfLimitKey *key, const RfLimitTerms *terms)
{
	int			nunits = rf_limit_units(terms->max, terms->credits);
	int32		unit = find_hole(nunits, key->key_hash != 0);
	int32	   *bucket = bucket_of(key);
	RfLimit    *limit;

	if (unit < 0 && drop_idle(key->database))
		unit = find_hole(nunits, key->key_hash != 0);
	if (unit < 0)
		return NULL;
	memset(&area->used[unit], 2, nunits);
	area->used[unit] = 1;
	limit = at_unit(unit);
	memset(limit, 0, sizeof(RfLimit));
	limit->key = *key;
	limit->nunits = nunits;
	limit->stamp = rf_limit_stamp;
	rf_rate_window_init(rf_limit_window(limit), terms->max, terms->per_us, terms->pace,
						terms->credits);
	limit->next = *bucket;
	*bucket = unit;
	return limit;
}

/*
 * NULL: there is no room for it, and the old one is gone; what stands in
 * rate_use will fill the next.
 */
RfLimit *
rf_limit_area_resize(RfLimit *limit, const RfLimitTerms *terms)
{
	RfLimit		old = *limit;
	Size		size = rf_rate_window_size(terms->max, terms->credits);
	RfRateWindow *copy = malloc(size);
	RfLimit    *other;

	if (copy == NULL)
		return NULL;
	rf_rate_window_init(copy, terms->max, terms->per_us, terms->pace, terms->credits);
	rf_rate_window_copy(copy, rf_limit_window(limit));
	rf_limit_area_drop(limit);
	other = rf_limit_area_make(&old.key, terms);
	if (other != NULL)
	{
		memcpy(rf_limit_window(other), copy, size);
		other->granted = old.granted;
		other->granted_until_us = old.granted_until_us;
		other->wanted = old.wanted;
		other->owed = old.owed;
	}
	free(copy);
	return other;
}

static int32
find_hole(int nunits, bool from_above)
{
	int			length = 0;

	for (int i = 0; i < area->nunits; i++)
	{
		int			unit = from_above ? area->nunits - 1 - i : i;

		length = area->used[unit] == 0 ? length + 1 : 0;
		if (length == nunits)
			return from_above ? unit : unit - nunits + 1;
	}
	return -1;
}

void
rf_limit_area_drop(RfLimit *limit)
{
	int32		unit = unit_of(limit);
	int32	   *link = bucket_of(&limit->key);

	while (*link != unit)
		link = &at_unit(*link)->next;
	*link = limit->next;
	memset(&area->used[unit], 0, limit->nunits);
}

/*
 * Windows by key in which nothing counts: ours, unless somebody holds them
 * just now, and those of databases that nobody serves.
 */
static bool
drop_idle(Oid database)
{
	int64		now = rf_gate_now_us();
	bool		dropped = false;
	RfLimit    *limit;

	foreach_limit(limit)
	{
		bool		ours = limit->key.database == database;

		if ((ours && (limit->key.key_hash == 0 || limit->stamp == rf_limit_stamp)) ||
			(!ours && rf_shared_find_dispatcher(limit->key.database) != NULL) ||
			rf_rate_window_used(rf_limit_window(limit), now) > 0)
			continue;
		rf_limit_area_drop(limit);
		dropped = true;
	}
	return dropped;
}
