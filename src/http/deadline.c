/*-------------------------------------------------------------------------
 *
 * deadline.c
 *	  Deadlines of transfers.
 *
 * Until the request may leave a transfer has the connect timeout, afterwards
 * the idle timeout, and always the total timeout.
 *
 * Deadlines are kept as one lower bound, earliest_us: it is right or too early,
 * and recomputed only when it has passed.  With hundreds of transfers in
 * flight nothing is walked but once a timeout.
 *
 * A process that was stopped gives nothing away.  When a turn comes much later
 * than the deadline that was announced for it, all deadlines move by the time
 * since the turn before: when in it we stopped is not known, and the time was
 * ours, not the peers'.  The same when a turn itself takes so long.
 *
 * IDENTIFICATION
 *	  src/http/deadline.c
 *
 *-------------------------------------------------------------------------
 */
#include "http/state.h"

/* A turn that is later or longer than this is so for no reason of the peers'. */
#define STALL_US	INT64_C(500000)

static void move_all(RfHttpEngine *engine, int64_t since_us, int64_t now_us);
static int64_t deadline_of(const RfTransferState *state);
static void expire(RfTransferState *state);
static int64_t after(int64_t at_us, int64_t timeout_us);
static int64_t later(int64_t at_us, int64_t delay_us);

void
rf_deadline_set(RfTransferState *state)
{
	RfHttpEngine *engine = state->engine;

	state->moved_us = engine->now_us;
	state->connect_deadline_us = after(engine->now_us, state->setup->connect_timeout_us);
	state->total_deadline_us = after(engine->now_us, state->setup->total_timeout_us);
	rf_deadline_expect(state);
}

/* A deadline of this transfer may now be the earliest: see the banner. */
void
rf_deadline_expect(RfTransferState *state)
{
	int64_t		deadline_us = deadline_of(state);

	if (deadline_us < state->engine->earliest_us)
		state->engine->earliest_us = deadline_us;
}

/* When must a turn come? */
int64_t
rf_deadline_earliest(const RfHttpEngine *engine)
{
	return engine->timer_us < engine->earliest_us ?
		engine->timer_us : engine->earliest_us;
}

/* Called first in a turn: was it later than announced? */
void
rf_deadline_forgive_late_turn(RfHttpEngine *engine, int64_t now_us)
{
	int64_t		announced_us = rf_deadline_earliest(engine);

	if (announced_us != RF_NEVER_US && now_us - announced_us > STALL_US)
		move_all(engine, engine->turned_us, now_us);
}

/* Called when a turn has read its sockets: it may have been stopped in there. */
void
rf_deadline_forgive_long_turn(RfHttpEngine *engine, int64_t began_us)
{
	if (engine->now_us - began_us > STALL_US)
		move_all(engine, began_us, engine->now_us);
}

/* Called when every socket has been read. */
void
rf_deadline_judge(RfHttpEngine *engine)
{
	RfTransferState *state = engine->running;

	engine->earliest_us = RF_NEVER_US;
	while (state != NULL)
	{
		RfTransferState *next = state->next;
		int64_t		deadline_us = deadline_of(state);

		if (deadline_us <= engine->now_us)
			expire(state);
		else
			rf_deadline_expect(state);
		state = next;
	}
}

static void
move_all(RfHttpEngine *engine, int64_t since_us, int64_t now_us)
{
	for (RfTransferState *state = engine->running; state != NULL; state = state->next)
	{
		/* What was started since has lost less. */
		int64_t		started_us = state->transfer->started_us;
		int64_t		from_us = started_us > since_us ? started_us : since_us;
		int64_t		lost_us = now_us > from_us ? now_us - from_us : 0;

		state->connect_deadline_us = later(state->connect_deadline_us, lost_us);
		state->total_deadline_us = later(state->total_deadline_us, lost_us);
		state->moved_us = later(state->moved_us, lost_us);
	}
	if (engine->running != NULL)
		engine->earliest_us = now_us;	/* to be computed anew */
}

static int64_t
deadline_of(const RfTransferState *state)
{
	int64_t		nearer_us = state->connect_deadline_us;

	if (state->sent)
		nearer_us = after(state->moved_us, state->setup->idle_timeout_us);
	return nearer_us < state->total_deadline_us ?
		nearer_us : state->total_deadline_us;
}

static void
expire(RfTransferState *state)
{
	bool		total = state->total_deadline_us <= state->engine->now_us;

	if (!state->sent)
		state->why = total ? "not sent within the total timeout" :
			"no connection within the connect timeout";
	else
		state->why = total ? "no complete answer within the total timeout" :
			"no byte within the idle timeout";
	rf_finish_transfer(state, CURLE_OPERATION_TIMEDOUT);
}

/* A timeout of zero or less is none. */
static int64_t
after(int64_t at_us, int64_t timeout_us)
{
	return timeout_us > 0 ? later(at_us, timeout_us) : RF_NEVER_US;
}

static int64_t
later(int64_t at_us, int64_t delay_us)
{
	if (delay_us > RF_NEVER_US - (at_us > 0 ? at_us : 0))
		return RF_NEVER_US;
	return at_us + delay_us;
}
