/*-------------------------------------------------------------------------
 *
 * results.h
 *	  What became of a job, for who may know.
 *
 *-------------------------------------------------------------------------
 */
#ifndef ROLEFERRY_API_RESULTS_H
#define ROLEFERRY_API_RESULTS_H

#include "fmgr.h"

/* Columns of roleferry.job_result, from 0. */
#define RF_RESULT_COLUMNS	7
#define RF_RESULT_ATTEMPTS	5

typedef struct RfLook
{
	bool		found;
	bool		ended;
	bool		own;			/* of this transaction: it cannot end */
	bool		waits;			/* it is not under way */
	Datum		values[RF_RESULT_COLUMNS];
	bool		nulls[RF_RESULT_COLUMNS];
} RfLook;

/* With a snapshot of its own, as the owner of the function that was called. */
extern void rf_result_look(FunctionCallInfo fcinfo, int64 job_id, RfLook *look);

/* What was seen is on disk. */
extern void rf_result_flush(void);

#endif							/* ROLEFERRY_API_RESULTS_H */
