/*-------------------------------------------------------------------------
 *
 * clock_step.h
 *	  Rows that were dated by a clock which has been set since.
 *
 * All functions run in a transaction, connected to SPI.
 *
 *-------------------------------------------------------------------------
 */
#ifndef ROLEFERRY_CLOCK_STEP_H
#define ROLEFERRY_CLOCK_STEP_H

#include "datatype/timestamp.h"

/*
 * What is kept to measure time by it (use of rate limits, the age of paid
 * requests, the next try of an event's effects) is dated as the clock of now
 * would have dated it; by_us is by how much it was set forward.
 */
extern void rf_clock_step_redate(int64 by_us);

/*
 * The clock was set back by that much: some of the jobs that nobody asked to
 * have later are due again when they were.  Goes on after that id, and leaves
 * there the last one it has dealt with; false: there are no more.
 */
extern bool rf_clock_step_bring_back(int64 by_us, int64 *after_id);

/* By how much the newest job is from the future. */
extern int64 rf_clock_step_ahead_us(void);

#endif							/* ROLEFERRY_CLOCK_STEP_H */
