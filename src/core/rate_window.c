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
 * A coarse window has fewer places than tokens.  A place takes what ends within
 * a fraction of the window after its first, and all that is in it counts from
 * the last; so no more places are in use than there are.  If they were, the
 * newest would take what comes: it counts for longer, never for less.
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
static uint32_t *count_at(const RfRateWindow *window, uint32_t index);
static uint32_t tokens_at(const RfRateWindow *window, uint32_t index);
static int64_t token_end(const RfRateWindow *window, uint32_t token);
static void forget_oldest(RfRateWindow *window);
static void forget_expired(RfRateWindow *window, int64_t now_us);
static void forget_promises(uint32_t *promises, uint32_t tokens);
static void push(RfRateWindow *window, uint32_t tokens, int64_t ended_us);
static void push_coarsely(RfRateWindow *window, uint32_t tokens, int64_t ended_us);

static uint32_t
count_places(uint32_t max, bool coarse)
{
	return coarse && max > RF_RATE_COARSE_PLACES ? RF_RATE_COARSE_PLACES : max;
}

size_t
rf_rate_window_size(uint32_t max, bool coarse)
{
	size_t		place = sizeof(int64_t) + (coarse ? sizeof(uint32_t) : 0);

	return sizeof(RfRateWindow) + count_places(max, coarse) * place;
}

void
rf_rate_window_init(RfRateWindow *window, uint32_t max, int64_t per_us,
					bool pace, bool coarse)
{
	window->max = max;
	window->running = 0;
	window->ended = 0;
	window->places = count_places(max, coarse);
	window->filled = 0;
	window->first = 0;
	window->promised = 0;
	window->early = 0;
	window->pace = pace;
	window->coarse = coarse;
	window->per_us = per_us;
	window->paced_until_us = INT64_MIN;
	window->promised_until_us = INT64_MIN;
	window->joined_until_us = INT64_MIN;
}

void
rf_rate_window_copy(RfRateWindow *to, const RfRateWindow *from)
{
	to->running = from->running;
	to->paced_until_us = to->pace ? from->paced_until_us : INT64_MIN;
	for (uint32_t i = 0; i < from->filled; i++)
		push(to, tokens_at(from, i), end_at(from, i));
}

uint32_t
rf_rate_window_free(RfRateWindow *window, int64_t now_us)
{
	uint64_t	used;

	forget_expired(window, now_us);
	used = (uint64_t) window->running + window->ended;
	if (used >= window->max || now_us < window->paced_until_us)
		return 0;
	return window->pace ? 1 : (uint32_t) (window->max - used);
}

uint32_t
rf_rate_window_used(const RfRateWindow *window, int64_t now_us)
{
	uint32_t	expired = 0;
	uint32_t	i = 0;

	while (i < window->filled &&
		   add_saturated(end_at(window, i), window->per_us) <= now_us)
		expired += tokens_at(window, i++);
	return window->running + window->ended - expired;
}

int64_t
rf_rate_window_next(RfRateWindow *window, uint32_t tokens, int64_t now_us)
{
	int64_t		next = 0;
	uint64_t	wanted;

	forget_expired(window, now_us);
	wanted = (uint64_t) window->running + tokens;
	if (wanted > window->max)
		return RF_RATE_WHEN_ENDED;
	if (wanted + window->ended > window->max)
	{
		/* All but this many must have come back. */
		uint32_t	too_many = (uint32_t) (wanted + window->ended - window->max - 1);

		next = add_saturated(token_end(window, too_many), window->per_us);
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
rf_rate_window_turn(RfRateWindow *window, uint32_t tokens, int64_t now_us,
					RfRateWaiter waiter)
{
	int64_t		moment = now_us;
	int64_t		missing;
	uint32_t   *before = waiter == RF_RATE_EARLY ? &window->early : &window->promised;

	forget_expired(window, now_us);
	missing = (int64_t) window->running + window->ended + *before + tokens - window->max;
	if (missing > 0)
	{
		uint32_t	place = (uint32_t) ((missing - 1) % window->max);

		if (place < window->ended)
			moment = token_end(window, place);
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
		if (*before < UINT32_MAX - tokens)
			*before += tokens;
	}
	return moment;
}

bool
rf_rate_windows_take(RfRateWindow **windows, const uint32_t *tokens, int nwindows,
					 int64_t now_us)
{
	for (int i = 0; i < nwindows; i++)
		if (rf_rate_window_free(windows[i], now_us) < (tokens ? tokens[i] : 1))
			return false;
	for (int i = 0; i < nwindows; i++)
	{
		RfRateWindow *window = windows[i];

		window->running += tokens ? tokens[i] : 1;
		if (window->pace)
			window->paced_until_us = add_saturated(now_us, spacing(window));
	}
	return true;
}

void
rf_rate_window_end(RfRateWindow *window, uint32_t tokens, int64_t now_us)
{
	rf_rate_window_withdraw(window, tokens);
	forget_expired(window, now_us);
	push(window, tokens, now_us);
}

void
rf_rate_window_withdraw(RfRateWindow *window, uint32_t tokens)
{
	window->running -= tokens < window->running ? tokens : window->running;
}

void
rf_rate_window_end_all(RfRateWindow *window, int64_t now_us)
{
	if (window->running > 0)
		rf_rate_window_end(window, window->running, now_us);
}

void
rf_rate_window_add(RfRateWindow *window, uint32_t tokens, int64_t ended_us)
{
	push(window, tokens, ended_us);
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

/* The index-th oldest place. */
static int64_t
end_at(const RfRateWindow *window, uint32_t index)
{
	return window->ends[(window->first + index) % window->places];
}

static uint32_t *
count_at(const RfRateWindow *window, uint32_t index)
{
	uint32_t   *counts = (uint32_t *) (window->ends + window->places);

	return &counts[(window->first + index) % window->places];
}

static uint32_t
tokens_at(const RfRateWindow *window, uint32_t index)
{
	return window->coarse ? *count_at(window, index) : 1;
}

/* When the token-th oldest that is in the ring ended. */
static int64_t
token_end(const RfRateWindow *window, uint32_t token)
{
	uint32_t	index = 0;

	if (!window->coarse)
		return end_at(window, token);
	while (index + 1 < window->filled && token >= *count_at(window, index))
		token -= *count_at(window, index++);
	return end_at(window, index);
}

static void
forget_oldest(RfRateWindow *window)
{
	window->ended -= tokens_at(window, 0);
	window->first = (window->first + 1) % window->places;
	window->filled--;
}

static void
forget_expired(RfRateWindow *window, int64_t now_us)
{
	while (window->filled > 0 &&
		   add_saturated(end_at(window, 0), window->per_us) <= now_us)
	{
		uint32_t	tokens = tokens_at(window, 0);

		forget_oldest(window);
		forget_promises(&window->promised, tokens);
		forget_promises(&window->early, tokens);
	}
	if (window->running == 0 && window->ended == 0)
		window->promised = window->early = 0;
}

static void
forget_promises(uint32_t *promises, uint32_t tokens)
{
	*promises -= tokens < *promises ? tokens : *promises;
}

/* More than fit make no difference. */
static void
push(RfRateWindow *window, uint32_t tokens, int64_t ended_us)
{
	if (tokens > window->max)
		tokens = window->max;
	if (window->filled > 0)
		ended_us = later(ended_us, end_at(window, window->filled - 1));
	if (window->coarse)
	{
		push_coarsely(window, tokens, ended_us);
		return;
	}
	for (; tokens > 0; tokens--)
	{
		if (window->filled == window->places)
			forget_oldest(window);
		window->ends[(window->first + window->filled) % window->places] = ended_us;
		window->filled++;
		window->ended++;
	}
}

/*
 * A place is taken by what ends within a 510th of the window: so at most 511
 * count at once.
 */
static void
push_coarsely(RfRateWindow *window, uint32_t tokens, int64_t ended_us)
{
	uint32_t	newest = window->filled - 1;

	if (tokens == 0)
		return;
	while (window->filled > 1 && window->ended - tokens_at(window, 0) + tokens >= window->max)
		forget_oldest(window);
	if (window->filled == 0 ||
		(ended_us > window->joined_until_us && window->filled < window->places))
	{
		newest = window->filled++;
		*count_at(window, newest) = 0;
		window->joined_until_us =
			add_saturated(ended_us, window->per_us / (RF_RATE_COARSE_PLACES - 2));
	}
	else
		newest = window->filled - 1;
	window->ends[(window->first + newest) % window->places] = ended_us;
	*count_at(window, newest) += tokens;
	window->ended += tokens;
}
