/*-------------------------------------------------------------------------
 *
 * timeout.h
 *	  The parameter "timeout" of functions that wait.
 *
 *-------------------------------------------------------------------------
 */
#ifndef ROLEFERRY_API_TIMEOUT_H
#define ROLEFERRY_API_TIMEOUT_H

#include "fmgr.h"

/* An interval parameter by position, in microseconds; raises 22023. */
extern int64 rf_timeout_parameter(FunctionCallInfo fcinfo, int which,
								  int64 otherwise_us);

#endif							/* ROLEFERRY_API_TIMEOUT_H */
