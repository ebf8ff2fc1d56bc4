/*-------------------------------------------------------------------------
 *
 * pulse.c
 *	  How the workers do, as they say themselves.
 *
 * Each writes its own, at the end of a turn it has made anyway: an idle one is
 * not woken for it.
 *
 * IDENTIFICATION
 *	  src/shmem/pulse.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "miscadmin.h"
#include "utils/timestamp.h"

#include "shmem/shared.h"

void
rf_pulse_init(RfPulse *pulse)
{
	pulse->pid = 0;
	pulse->since = 0;
	pg_atomic_init_u32(&pulse->state, RF_PULSE_NONE);
	pg_atomic_init_u32(&pulse->in_flight, 0);
	pg_atomic_init_u64(&pulse->turns, 0);
	pg_atomic_init_u64(&pulse->beat, 0);
}

void
rf_pulse_begin(RfPulse *pulse)
{
	pulse->since = GetCurrentTimestamp();
	pg_atomic_write_u64(&pulse->turns, 0);
	rf_pulse_beat(pulse, RF_PULSE_STARTING, 0);
	pulse->pid = MyProcPid;
}

void
rf_pulse_beat(RfPulse *pulse, RfPulseState state, int in_flight)
{
	pg_atomic_write_u32(&pulse->state, state);
	pg_atomic_write_u32(&pulse->in_flight, (uint32) in_flight);
	pg_atomic_write_u64(&pulse->turns, pg_atomic_read_u64(&pulse->turns) + 1);
	pg_atomic_write_u64(&pulse->beat, (uint64) GetCurrentTimestamp());
}

void
rf_pulse_end(RfPulse *pulse)
{
	pulse->pid = 0;
	pg_atomic_write_u32(&pulse->state, RF_PULSE_NONE);
	pg_atomic_write_u32(&pulse->in_flight, 0);
}
