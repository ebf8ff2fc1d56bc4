/*-------------------------------------------------------------------------
 *
 * meter.h
 *	  How many a second, over the last minute.
 *
 * A meter is a ring of cells, each with the number of a slice of time and what
 * was counted in it, in one word: so many processes can add to it without a
 * lock, by compare-and-swap, and a cell whose slice is over begins anew by
 * itself.
 *
 * Pure logic: no PostgreSQL headers, no clock.
 *
 *-------------------------------------------------------------------------
 */
#ifndef ROLEFERRY_METER_H
#define ROLEFERRY_METER_H

#include <stdint.h>

#define RF_METER_SLICE_US	INT64_C(5000000)
#define RF_METER_SLICES		12	/* a minute, and the slice under way */
#define RF_METER_CELLS		16

/* Which cell counts now. */
extern int	rf_meter_cell(int64_t now_us);

/* What that cell holds when n more are counted. */
extern uint64_t rf_meter_add(uint64_t cell, int64_t now_us, uint32_t n);

extern double rf_meter_per_second(const uint64_t cells[RF_METER_CELLS],
								  int64_t now_us);

#endif							/* ROLEFERRY_METER_H */
