/*-------------------------------------------------------------------------
 *
 * meter.c
 *	  How many a second, over the last minute.
 *
 * IDENTIFICATION
 *	  src/core/meter.c
 *
 *-------------------------------------------------------------------------
 */
#include "core/meter.h"

#define US_PER_S	1e6

/* 0 is what an empty cell has: the first slice is number 1. */
static uint32_t
slice_of(int64_t now_us)
{
	return (uint32_t) (now_us / RF_METER_SLICE_US) + 1;
}

int
rf_meter_cell(int64_t now_us)
{
	return (int) (slice_of(now_us) % RF_METER_CELLS);
}

uint64_t
rf_meter_add(uint64_t cell, int64_t now_us, uint32_t n)
{
	uint32_t	slice = slice_of(now_us);
	uint32_t	count = (uint32_t) (cell >> 32) == slice ? (uint32_t) cell : 0;

	count = count > UINT32_MAX - n ? UINT32_MAX : count + n;
	return ((uint64_t) slice << 32) | count;
}

double
rf_meter_per_second(const uint64_t cells[RF_METER_CELLS], int64_t now_us)
{
	uint32_t	slice = slice_of(now_us);
	int64_t		window_us = RF_METER_SLICES * RF_METER_SLICE_US + now_us % RF_METER_SLICE_US;
	double		sum = 0;

	for (int i = 0; i < RF_METER_CELLS; i++)
	{
		/* Modulo 2^32, as the numbers are; those of the future are far. */
		if (slice - (uint32_t) (cells[i] >> 32) <= RF_METER_SLICES)
			sum += (uint32_t) cells[i];
	}
	return sum * US_PER_S / (double) window_us;
}
