/*-------------------------------------------------------------------------
 *
 * log_pace.c
 *	  So many lines of one kind a minute, and how many there would have been.
 *
 * IDENTIFICATION
 *	  src/core/log_pace.c
 *
 *-------------------------------------------------------------------------
 */
#include "core/log_pace.h"

bool
rf_log_pace_admit(RfLogPace *pace, int64_t now_us, uint32_t most)
{
	if (pace->since_us == 0 || now_us - pace->since_us >= RF_LOG_PACE_US)
	{
		pace->since_us = now_us;
		pace->told = 0;
	}
	if (pace->told < most)
	{
		pace->told++;
		return true;
	}
	pace->withheld++;
	return false;
}

uint64_t
rf_log_pace_withheld(RfLogPace *pace, int64_t now_us)
{
	uint64_t	n = pace->withheld;

	if (n == 0 || now_us - pace->since_us < RF_LOG_PACE_US)
		return 0;
	pace->withheld = 0;
	return n;
}
