/*-------------------------------------------------------------------------
 *
 * limit.c
 *	  Rate windows that all processes share: counting in them.
 *
 * The rules are core/rate_window.c's, the memory limit_area.c's.  The lock is
 * held for arithmetic, never across anything that can raise.
 *
 * IDENTIFICATION
 *	  src/shmem/limit.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "storage/lwlock.h"

#include "shmem/limit_area.h"

static void count_beyond(RfLimit *limit, uint32 tokens, int64 now_us);

int
rf_limit_units_elsewhere(Oid database)
{
	RfLimit    *limit;
	int			nunits = 0;

	LWLockAcquire(rf_limit_area_lock(), LW_SHARED);
	foreach_limit(limit)
	{
		if (limit->key.database != database && limit->key.key_hash == 0)
			nunits += limit->nunits;
	}
	LWLockRelease(rf_limit_area_lock());
	return nunits;
}

void
rf_limit_begin(void)
{
	rf_limit_stamp++;
}

RfLimit *
rf_limit_obtain(const RfLimitKey *key, const RfLimitTerms *terms, bool *made)
{
	RfLimit    *limit;

	LWLockAcquire(rf_limit_area_lock(), LW_EXCLUSIVE);
	limit = rf_limit_area_find(key);
	*made = limit == NULL;
	if (limit == NULL)
		limit = rf_limit_area_make(key, terms);
	else if (rf_limit_window(limit)->max != terms->max ||
			 rf_limit_window(limit)->coarse != terms->credits)
		limit = rf_limit_area_resize(limit, terms);
	if (limit != NULL)
	{
		limit->key.server = key->server;
		rf_limit_window(limit)->per_us = terms->per_us;
		rf_limit_window(limit)->pace = terms->pace;
		if (!terms->pace)
			rf_limit_window(limit)->paced_until_us = 0;
		limit->stamp = rf_limit_stamp;
	}
	LWLockRelease(rf_limit_area_lock());
	return limit;
}

/* Only its dispatcher changes them. */
RfLimitTerms
rf_limit_terms(RfLimit *limit)
{
	RfRateWindow *window = rf_limit_window(limit);
	RfLimitTerms terms = {window->max, window->per_us, window->pace, window->coarse};

	return terms;
}

void
rf_limit_keep(Oid database, const int64 *ids, int nids)
{
	RfLimit    *limit;

	LWLockAcquire(rf_limit_area_lock(), LW_EXCLUSIVE);
	foreach_limit(limit)
	{
		bool		kept = limit->key.database != database;

		for (int i = 0; i < nids && !kept; i++)
			kept = ids[i] == limit->key.limit_id;
		if (!kept)
			rf_limit_area_drop(limit);
	}
	LWLockRelease(rf_limit_area_lock());
}

void
rf_limit_abandon(Oid database, int64 now_us)
{
	RfLimit    *limit;

	LWLockAcquire(rf_limit_area_lock(), LW_EXCLUSIVE);
	foreach_limit(limit)
	{
		if (limit->key.database != database)
			continue;
		rf_rate_window_end_all(rf_limit_window(limit), now_us);
		limit->wanted = 0;
	}
	LWLockRelease(rf_limit_area_lock());
}

uint32
rf_limit_room(RfLimit *limit, uint32 tokens, int64 now_us, int64 *next_us)
{
	uint32		room;

	LWLockAcquire(rf_limit_area_lock(), LW_EXCLUSIVE);
	room = rf_rate_window_free(rf_limit_window(limit), now_us);
	*next_us = room >= tokens ? 0 : rf_rate_window_next(rf_limit_window(limit), tokens, now_us);
	LWLockRelease(rf_limit_area_lock());
	return room;
}

int64
rf_limit_turn(const RfLimitShare *share, int64 now_us, RfRateWaiter waiter)
{
	int64		moment;

	LWLockAcquire(rf_limit_area_lock(), LW_EXCLUSIVE);
	moment = rf_rate_window_turn(rf_limit_window(share->limit), share->tokens, now_us, waiter);
	LWLockRelease(rf_limit_area_lock());
	return moment;
}

bool
rf_limit_take(const RfLimitShare *shares, int nshares, int64 now_us)
{
	RfRateWindow *windows[RF_LIMITS_MAX];
	uint32		tokens[RF_LIMITS_MAX];
	bool		taken = true;

	Assert(nshares <= RF_LIMITS_MAX);
	LWLockAcquire(rf_limit_area_lock(), LW_EXCLUSIVE);
	for (int i = 0; i < nshares; i++)
	{
		RfLimit    *limit = shares[i].limit;

		windows[i] = rf_limit_window(limit);
		tokens[i] = shares[i].tokens;
		taken &= limit->granted >= tokens[i] && now_us < limit->granted_until_us;
	}
	taken = taken && rf_rate_windows_take(windows, tokens, nshares, now_us);
	for (int i = 0; i < nshares && taken; i++)
		shares[i].limit->granted -= tokens[i];
	LWLockRelease(rf_limit_area_lock());
	return taken;
}

void
rf_limit_end(const RfLimitHold *holds, int nholds, bool left, uint32 credits,
			 int64 now_us)
{
	LWLockAcquire(rf_limit_area_lock(), LW_EXCLUSIVE);
	for (int i = 0; i < nholds; i++)
	{
		RfLimit    *limit = rf_limit_area_find(&holds[i].key);
		uint32		tokens = holds[i].tokens;
		uint32		used = !left ? 0 : holds[i].credits ? credits : tokens;

		if (limit == NULL)
			continue;			/* nobody counts any more */
		if (used < tokens)
		{
			rf_rate_window_withdraw(rf_limit_window(limit), tokens - used);
			limit->granted += tokens - used;
		}
		rf_rate_window_end(rf_limit_window(limit), Min(used, tokens), now_us);
		if (used > tokens)
			count_beyond(limit, used - tokens, now_us);
	}
	LWLockRelease(rf_limit_area_lock());
}

/* It has cost more than was known before. */
static void
count_beyond(RfLimit *limit, uint32 tokens, int64 now_us)
{
	uint32		granted = Min(tokens, limit->granted);

	rf_rate_window_add(rf_limit_window(limit), tokens, now_us);
	limit->granted -= granted;
	limit->owed += tokens - granted;
}

uint32
rf_limit_lacking(RfLimit *limit, int64 now_us, uint32 *outstanding)
{
	uint32		lacking;

	LWLockAcquire(rf_limit_area_lock(), LW_EXCLUSIVE);
	if (now_us >= limit->granted_until_us)
		limit->granted = 0;
	lacking = limit->wanted > limit->granted ? limit->wanted - limit->granted : 0;
	lacking += limit->owed;
	*outstanding = rf_limit_window(limit)->running + limit->granted;
	LWLockRelease(rf_limit_area_lock());
	return lacking;
}

void
rf_limit_grant(const RfLimitKey *key, uint32 tokens, int64 until_us)
{
	RfLimit    *limit;

	LWLockAcquire(rf_limit_area_lock(), LW_EXCLUSIVE);
	limit = rf_limit_area_find(key);
	if (limit != NULL)
	{
		limit->granted += tokens - Min(tokens, limit->owed);
		limit->owed -= Min(tokens, limit->owed);
		limit->granted_until_us = until_us;
	}
	LWLockRelease(rf_limit_area_lock());
}

void
rf_limit_add(RfLimit *limit, uint32 count, int64 ended_us)
{
	LWLockAcquire(rf_limit_area_lock(), LW_EXCLUSIVE);
	rf_rate_window_add(rf_limit_window(limit), count, ended_us);
	LWLockRelease(rf_limit_area_lock());
}

void
rf_limit_clamp(RfLimit *limit, uint32 left, int64 now_us)
{
	RfRateWindow *window = rf_limit_window(limit);
	uint32		used;

	LWLockAcquire(rf_limit_area_lock(), LW_EXCLUSIVE);
	used = rf_rate_window_used(window, now_us);
	if (used < window->max && window->max - used > left)
		rf_rate_window_add(window, window->max - used - left, now_us);
	LWLockRelease(rf_limit_area_lock());
}

bool
rf_limit_is_full(Oid database, Oid server, int64 now_us, int64 *next_us)
{
	RfLimit    *limit;
	bool		full = false;

	*next_us = 0;
	LWLockAcquire(rf_limit_area_lock(), LW_EXCLUSIVE);
	foreach_limit(limit)
	{
		if (limit->key.database != database || limit->key.server != server ||
			!limit->whole || rf_rate_window_free(rf_limit_window(limit), now_us) > 0)
			continue;
		full = true;
		*next_us = Max(*next_us, rf_rate_window_next(rf_limit_window(limit), 1, now_us));
	}
	LWLockRelease(rf_limit_area_lock());
	if (*next_us == RF_RATE_WHEN_ENDED)
		*next_us = 0;
	return full;
}

int
rf_limit_list(Oid database, RfLimitView **views, int64 now_us)
{
	RfLimitView *list;
	int			room = 0;
	RfLimit    *limit;
	int			nviews = 0;

	/* Memory first: what comes in between is not shown. */
	LWLockAcquire(rf_limit_area_lock(), LW_SHARED);
	foreach_limit(limit)
	{
		room++;
	}
	LWLockRelease(rf_limit_area_lock());
	list = palloc(sizeof(RfLimitView) * (room + 1));

	LWLockAcquire(rf_limit_area_lock(), LW_EXCLUSIVE);
	foreach_limit(limit)
	{
		RfRateWindow *window = rf_limit_window(limit);
		RfLimitView *view = &list[nviews];

		if (limit->key.database != database || nviews == room)
			continue;
		view->key = limit->key;
		view->used = rf_rate_window_used(window, now_us);
		view->free = window->max - Min(view->used, window->max);
		view->next_us = rf_rate_window_free(window, now_us) > 0 ? 0 : rf_rate_window_next(window, 1, now_us);
		nviews++;
	}
	LWLockRelease(rf_limit_area_lock());
	*views = list;
	return nviews;
}
