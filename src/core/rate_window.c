/*-------------------------------------------------------------------------
 *
 * rate_window.c
 *	  Exact sliding window over a ring of moments.
 *
 *	  free --take--> running --end--> in the ring --one window later--> free
 *
 * The ring is in order of time, so what comes back next stands first.  Where
 * more requests have ended than the window has places (it was made smaller),
 * the oldest is forgotten: as long as N later ones count, it makes no odds.
 *
 * IDENTIFICATION
 *	  src/core/rate_window.c
 *
 *-------------------------------------------------------------------------
 */
#include "core/rate_window.h"

static int64_t add_saturated(int64_t at_us, int64_t delay_us);
static int64_t later(int64_t a, int64_t b);
static int64_t spacing(const RfRateWindow *window);
static int64_t end_at(const RfRateWindow *window, uint32_t index);
static void forget_oldest(RfRateWindow *window);
static void forget_expired(RfRateWindow *window, int64_t now_us);
static void push(RfRateWindow *window, int64_t ended_us);

size_t
rf_rate_window_size(uint32_t max)
{
	return sizeof(RfRateWindow) + (size_t) max * sizeof(int64_t);
}

void
rf_rate_window_init(RfRateWindow *window, uint32_t max, int64_t per_us, bool pace)
{
	window->max = max;
	window->running = 0;
	window->ended = 0;
	window->first = 0;
	window->promised = 0;
	window->early = 0;
	window->pace = pace;
	window->per_us = per_us;
	window->paced_until_us = INT64_MIN;
	window->promised_until_us = INT64_MIN;
}

void
rf_rate_window_copy(RfRateWindow *to, const RfRateWindow *from)
{
	to->running = from->running;
	to->paced_until_us = to->pace ? from->paced_until_us : INT64_MIN;
	for (uint32_t i = 0; i < from->ended; i++)
		push(to, end_at(from, i));
}

uint32_t
rf_rate_window_free(RfRateWindow *window, int64_t now_us)
{
	uint32_t	used;

	forget_expired(window, now_us);
	used = window->running + window->ended;
	if (used >= window->max || now_us < window->paced_until_us)
		return 0;
	return window->pace ? 1 : window->max - used;
}

uint32_t
rf_rate_window_used(const RfRateWindow *window, int64_t now_us)
{
	uint32_t	expired = 0;

	while (expired < window->ended &&
		   add_saturated(end_at(window, expired), window->per_us) <= now_us)
		expired++;
	return window->running + window->ended - expired;
}

int64_t
rf_rate_window_next(RfRateWindow *window, int64_t now_us)
{
	int64_t		next = 0;

	forget_expired(window, now_us);
	if (window->running >= window->max)
		return RF_RATE_WHEN_ENDED;
	if (window->running + window->ended >= window->max)
	{
		/* All but this many must have come back. */
		uint32_t	too_many = window->running + window->ended - window->max;

		next = add_saturated(end_at(window, too_many), window->per_us);
	}
	if (now_us < window->paced_until_us)
		next = later(next, window->paced_until_us);
	return next;
}

/*
 * Of the tokens to come, those that are promised already come first; beyond
 * the ring, requests under way are taken to end now, and every further round
 * takes one more window.  So some come a moment too early: they get the next
 * tokens, and not those behind everybody else.
 */
int64_t
rf_rate_window_turn(RfRateWindow *window, int64_t now_us, RfRateWaiter waiter)
{
	int64_t		moment = now_us;
	int64_t		missing;
	uint32_t   *before = waiter == RF_RATE_EARLY ? &window->early : &window->promised;

	forget_expired(window, now_us);
	missing = (int64_t) window->running + window->ended + *before + 1 - window->max;
	if (missing > 0)
	{
		uint32_t	place = (uint32_t) ((missing - 1) % window->max);

		if (place < window->ended)
			moment = end_at(window, place);
		for (int64_t rounds = (missing - 1) / window->max + 1; rounds > 0; rounds--)
			moment = add_saturated(moment, window->per_us);
	}
	if (window->pace)
	{
		moment = later(moment, window->paced_until_us);
		moment = later(moment, add_saturated(window->promised_until_us, spacing(window)));
	}
	if (waiter != RF_RATE_CURIOUS)
	{
		window->promised_until_us = moment;
		if (*before < UINT32_MAX)
			(*before)++;
	}
	return moment;
}

bool
rf_rate_windows_take(RfRateWindow **windows, int nwindows, int64_t now_us)
{
	for (int i = 0; i < nwindows; i++)
		if (rf_rate_window_free(windows[i], now_us) == 0)
			return false;
	for (int i = 0; i < nwindows; i++)
	{
		RfRateWindow *window = windows[i];

		window->running++;
		if (window->pace)
			window->paced_until_us = add_saturated(now_us, spacing(window));
	}
	return true;
}

void
rf_rate_window_end(RfRateWindow *window, int64_t now_us)
{
	if (window->running > 0)
		window->running--;
	forget_expired(window, now_us);
	push(window, now_us);
}

void
rf_rate_window_withdraw(RfRateWindow *window)
{
	if (window->running > 0)
		window->running--;
}

void
rf_rate_window_end_all(RfRateWindow *window, int64_t now_us)
{
	while (window->running > 0)
		rf_rate_window_end(window, now_us);
}

void
rf_rate_window_add(RfRateWindow *window, uint32_t count, int64_t ended_us)
{
	/* More than fit make no difference. */
	for (uint32_t i = 0; i < count && i < window->max; i++)
		push(window, ended_us);
}

static int64_t
add_saturated(int64_t at_us, int64_t delay_us)
{
	int64_t		sum;

	return __builtin_add_overflow(at_us, delay_us, &sum) ? INT64_MAX : sum;
}

static int64_t
later(int64_t a, int64_t b)
{
	return a > b ? a : b;
}

/* Rounded up: never a request too many. */
static int64_t
spacing(const RfRateWindow *window)
{
	return (window->per_us + window->max - 1) / window->max;
}

/* The index-th oldest. */
static int64_t
end_at(const RfRateWindow *window, uint32_t index)
{
	return window->ends[(window->first + index) % window->max];
}

static void
forget_oldest(RfRateWindow *window)
{
	window->first = (window->first + 1) % window->max;
	window->ended--;
}

static void
forget_expired(RfRateWindow *window, int64_t now_us)
{
	while (window->ended > 0 &&
		   add_saturated(end_at(window, 0), window->per_us) <= now_us)
	{
		forget_oldest(window);
		if (window->promised > 0)
			window->promised--;
		if (window->early > 0)
			window->early--;
	}
	if (window->running == 0 && window->ended == 0)
		window->promised = window->early = 0;
}

static void
push(RfRateWindow *window, int64_t ended_us)
{
	if (window->ended > 0)
		ended_us = later(ended_us, end_at(window, window->ended - 1));
	if (window->ended == window->max)
		forget_oldest(window);
	window->ends[(window->first + window->ended) % window->max] = ended_us;
	window->ended++;
}
