/*-------------------------------------------------------------------------
 *
 * census.h
 *	  How many jobs wait, as far as that is cheap to know.
 *
 * In the dispatcher's own short transactions, connected to SPI.
 *
 *-------------------------------------------------------------------------
 */
#ifndef ROLEFERRY_CENSUS_H
#define ROLEFERRY_CENSUS_H

#include "core/lanes.h"
#include "datatype/timestamp.h"

/* So many jobs of a queue wait, of which so many could go. */
typedef void (*RfCensusFound) (const char *queue, int64 waiting, int64 ready,
							   void *context);

/* Counts a strand's jobs from its mark on, at most so many. */
extern void rf_census_strand(const RfStrand *strand, TimestampTz now, int most,
							 RfCensusFound found, void *context);

/* Those that another job of their order_key goes before; at most so many. */
extern int64 rf_census_parked(int most, RfCensusFound found, void *context);

/* Rows of the outbox as the table's statistics say; 0: they know nothing. */
extern int64 rf_census_estimate(void);

#endif							/* ROLEFERRY_CENSUS_H */
