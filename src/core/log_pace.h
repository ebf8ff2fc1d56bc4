/*-------------------------------------------------------------------------
 *
 * log_pace.h
 *	  So many lines of one kind a minute, and how many there would have been.
 *
 * Pure logic: no PostgreSQL headers, no clock.
 *
 *-------------------------------------------------------------------------
 */
#ifndef ROLEFERRY_LOG_PACE_H
#define ROLEFERRY_LOG_PACE_H

#include <stdbool.h>
#include <stdint.h>

#define RF_LOG_PACE_US	INT64_C(60000000)

/* All zero at first. */
typedef struct RfLogPace
{
	int64_t		since_us;		/* 0: no line yet */
	uint32_t	told;			/* since then */
	uint64_t	withheld;
} RfLogPace;

/* May another line be written?  If not, it is counted. */
extern bool rf_log_pace_admit(RfLogPace *pace, int64_t now_us, uint32_t most);

/* Lines that were withheld in a minute that is over; each is told once. */
extern uint64_t rf_log_pace_withheld(RfLogPace *pace, int64_t now_us);

#endif							/* ROLEFERRY_LOG_PACE_H */
