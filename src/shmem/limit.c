/*-------------------------------------------------------------------------
 *
 * limit.c
 *	  Rate windows that all processes share.
 *
 * The area is cut into units; a window takes as many as it needs, next to
 * each other.  Those of limits are put in from below and stay as long as the
 * limit does, so that they always have their place; those by key are put in
 * from above and make room when nothing in them counts any more.
 *
 * IDENTIFICATION
 *	  src/shmem/limit.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "storage/lwlock.h"
#include "storage/shmem.h"

#include "settings.h"
#include "shmem/limit.h"
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
static uint64 current_stamp = 0;

static RfLimit *at_unit(int32 unit);
static int32 unit_of(const RfLimit *limit);
static RfRateWindow *window_of(RfLimit *limit);
static int32 *bucket_of(const RfLimitKey *key);
static RfLimit *find(const RfLimitKey *key);
static RfLimit *make(const RfLimitKey *key, const RfLimitTerms *terms);
static RfLimit *resize(RfLimit *limit, const RfLimitTerms *terms);
static int32 find_hole(int nunits, bool from_above);
static void drop(RfLimit *limit);
static bool drop_idle(Oid database);

/* Walks all windows; the one at hand may be dropped. */
#define foreach_limit(limit) \
	for (int32 unit_ = next_limit(0, &(limit)); unit_ >= 0; unit_ = next_limit(unit_, &(limit)))

static int32 next_limit(int32 unit, RfLimit **limit);

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
rf_limit_units(uint32 max)
{
	return (int) ((sizeof(RfLimit) + rf_rate_window_size(max) + UNIT_BYTES - 1) / UNIT_BYTES);
}

int
rf_limit_total_units(void)
{
	return area->nunits;
}

int
rf_limit_units_elsewhere(Oid database)
{
	RfLimit    *limit;
	int			nunits = 0;

	LWLockAcquire(area->lock, LW_SHARED);
	foreach_limit(limit)
	{
		if (limit->key.database != database && limit->key.key_hash == 0)
			nunits += limit->nunits;
	}
	LWLockRelease(area->lock);
	return nunits;
}

void
rf_limit_begin(void)
{
	current_stamp++;
}

RfLimit *
rf_limit_obtain(const RfLimitKey *key, const RfLimitTerms *terms, bool *made)
{
	RfLimit    *limit;

	LWLockAcquire(area->lock, LW_EXCLUSIVE);
	limit = find(key);
	*made = limit == NULL;
	if (limit == NULL)
		limit = make(key, terms);
	else if (window_of(limit)->max != terms->max)
		limit = resize(limit, terms);
	if (limit != NULL)
	{
		limit->key.server = key->server;
		window_of(limit)->per_us = terms->per_us;
		window_of(limit)->pace = terms->pace;
		if (!terms->pace)
			window_of(limit)->paced_until_us = 0;
		limit->stamp = current_stamp;
	}
	LWLockRelease(area->lock);
	return limit;
}

/* Only its dispatcher changes them. */
RfLimitTerms
rf_limit_terms(RfLimit *limit)
{
	RfRateWindow *window = window_of(limit);
	RfLimitTerms terms = {window->max, window->per_us, window->pace};

	return terms;
}

void
rf_limit_keep(Oid database, const int64 *ids, int nids)
{
	RfLimit    *limit;

	LWLockAcquire(area->lock, LW_EXCLUSIVE);
	foreach_limit(limit)
	{
		bool		kept = limit->key.database != database;

		for (int i = 0; i < nids && !kept; i++)
			kept = ids[i] == limit->key.limit_id;
		if (!kept)
			drop(limit);
	}
	LWLockRelease(area->lock);
}

void
rf_limit_abandon(Oid database, int64 now_us)
{
	RfLimit    *limit;

	LWLockAcquire(area->lock, LW_EXCLUSIVE);
	foreach_limit(limit)
	{
		if (limit->key.database != database)
			continue;
		rf_rate_window_end_all(window_of(limit), now_us);
		limit->wanted = 0;
	}
	LWLockRelease(area->lock);
}

uint32
rf_limit_room(RfLimit *limit, int64 now_us, int64 *next_us)
{
	uint32		room;

	LWLockAcquire(area->lock, LW_EXCLUSIVE);
	room = rf_rate_window_free(window_of(limit), now_us);
	*next_us = room > 0 ? 0 : rf_rate_window_next(window_of(limit), now_us);
	LWLockRelease(area->lock);
	return room;
}

int64
rf_limit_promise(RfLimit *limit, int64 now_us)
{
	int64		moment;

	LWLockAcquire(area->lock, LW_EXCLUSIVE);
	moment = rf_rate_window_promise(window_of(limit), now_us);
	LWLockRelease(area->lock);
	return moment;
}

bool
rf_limit_take(RfLimit **limits, int nlimits, int64 now_us)
{
	RfRateWindow *windows[RF_LIMITS_MAX];
	bool		taken = true;

	Assert(nlimits <= RF_LIMITS_MAX);
	LWLockAcquire(area->lock, LW_EXCLUSIVE);
	for (int i = 0; i < nlimits; i++)
	{
		windows[i] = window_of(limits[i]);
		taken &= limits[i]->granted > 0 && now_us < limits[i]->granted_until_us;
	}
	taken = taken && rf_rate_windows_take(windows, nlimits, now_us);
	for (int i = 0; i < nlimits && taken; i++)
		limits[i]->granted--;
	LWLockRelease(area->lock);
	return taken;
}

void
rf_limit_end(const RfLimitKey *keys, int nkeys, bool left, int64 now_us)
{
	LWLockAcquire(area->lock, LW_EXCLUSIVE);
	for (int i = 0; i < nkeys; i++)
	{
		RfLimit    *limit = find(&keys[i]);

		if (limit == NULL)
			continue;			/* nobody counts any more */
		if (left)
			rf_rate_window_end(window_of(limit), now_us);
		else
		{
			rf_rate_window_withdraw(window_of(limit));
			limit->granted++;
		}
	}
	LWLockRelease(area->lock);
}

uint32
rf_limit_lacking(RfLimit *limit, int64 now_us, uint32 *outstanding)
{
	uint32		lacking;

	LWLockAcquire(area->lock, LW_EXCLUSIVE);
	if (now_us >= limit->granted_until_us)
		limit->granted = 0;
	lacking = limit->wanted > limit->granted ? limit->wanted - limit->granted : 0;
	*outstanding = window_of(limit)->running + limit->granted;
	LWLockRelease(area->lock);
	return lacking;
}

void
rf_limit_grant(const RfLimitKey *key, uint32 tokens, int64 until_us)
{
	RfLimit    *limit;

	LWLockAcquire(area->lock, LW_EXCLUSIVE);
	limit = find(key);
	if (limit != NULL)
	{
		limit->granted += tokens;
		limit->granted_until_us = until_us;
	}
	LWLockRelease(area->lock);
}

void
rf_limit_add(RfLimit *limit, uint32 count, int64 ended_us)
{
	LWLockAcquire(area->lock, LW_EXCLUSIVE);
	rf_rate_window_add(window_of(limit), count, ended_us);
	LWLockRelease(area->lock);
}

void
rf_limit_clamp(Oid database, Oid server, int64 per_us, uint32 left, int64 now_us)
{
	RfLimit    *limit;

	LWLockAcquire(area->lock, LW_EXCLUSIVE);
	foreach_limit(limit)
	{
		RfRateWindow *window = window_of(limit);
		uint32		used;

		if (limit->key.database != database || limit->key.server != server ||
			limit->key.key_hash != 0 || window->per_us != per_us)
			continue;
		used = rf_rate_window_used(window, now_us);
		if (used < window->max && window->max - used > left)
			rf_rate_window_add(window, window->max - used - left, now_us);
	}
	LWLockRelease(area->lock);
}

bool
rf_limit_is_full(Oid database, Oid server, int64 now_us, int64 *next_us)
{
	RfLimit    *limit;
	bool		full = false;

	*next_us = 0;
	LWLockAcquire(area->lock, LW_EXCLUSIVE);
	foreach_limit(limit)
	{
		if (limit->key.database != database || limit->key.server != server ||
			limit->key.key_hash != 0 || rf_rate_window_free(window_of(limit), now_us) > 0)
			continue;
		full = true;
		*next_us = Max(*next_us, rf_rate_window_next(window_of(limit), now_us));
	}
	LWLockRelease(area->lock);
	if (*next_us == RF_RATE_WHEN_ENDED)
		*next_us = 0;
	return full;
}

int
rf_limit_list(Oid database, RfLimitView **views, int64 now_us)
{
	RfLimitView *list = palloc(sizeof(RfLimitView) * area->nunits);
	RfLimit    *limit;
	int			nviews = 0;

	LWLockAcquire(area->lock, LW_EXCLUSIVE);
	foreach_limit(limit)
	{
		RfRateWindow *window = window_of(limit);
		RfLimitView *view = &list[nviews];

		if (limit->key.database != database)
			continue;
		view->key = limit->key;
		view->used = rf_rate_window_used(window, now_us);
		view->free = window->max - Min(view->used, window->max);
		view->next_us = rf_rate_window_free(window, now_us) > 0 ? 0 : rf_rate_window_next(window, now_us);
		nviews++;
	}
	LWLockRelease(area->lock);
	*views = list;
	return nviews;
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

static RfRateWindow *
window_of(RfLimit *limit)
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

static RfLimit *
find(const RfLimitKey *key)
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
static int32
next_limit(int32 unit, RfLimit **limit)
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

static RfLimit *
make(const RfLimitKey *key, const RfLimitTerms *terms)
{
	int			nunits = rf_limit_units(terms->max);
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
	limit->stamp = current_stamp;
	rf_rate_window_init(window_of(limit), terms->max, terms->per_us, terms->pace);
	limit->next = *bucket;
	*bucket = unit;
	return limit;
}

/*
 * NULL: there is no room for it, and the old one is gone; what stands in
 * rate_use will fill the next.
 */
static RfLimit *
resize(RfLimit *limit, const RfLimitTerms *terms)
{
	RfLimit		old = *limit;
	Size		size = rf_rate_window_size(terms->max);
	RfRateWindow *copy = malloc(size);
	RfLimit    *other;

	if (copy == NULL)
		return NULL;
	rf_rate_window_init(copy, terms->max, terms->per_us, terms->pace);
	rf_rate_window_copy(copy, window_of(limit));
	drop(limit);
	other = make(&old.key, terms);
	if (other != NULL)
	{
		memcpy(window_of(other), copy, size);
		other->granted = old.granted;
		other->granted_until_us = old.granted_until_us;
		other->wanted = old.wanted;
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

static void
drop(RfLimit *limit)
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

		if ((ours && (limit->key.key_hash == 0 || limit->stamp == current_stamp)) ||
			(!ours && rf_shared_find_dispatcher(limit->key.database) != NULL) ||
			rf_rate_window_used(window_of(limit), now) > 0)
			continue;
		drop(limit);
		dropped = true;
	}
	return dropped;
}
