/*-------------------------------------------------------------------------
 *
 * person.h
 *	  A person as a row of the SQL type roleferry.person.
 *
 *-------------------------------------------------------------------------
 */
#ifndef ROLEFERRY_API_PERSON_H
#define ROLEFERRY_API_PERSON_H

#include "datatype/timestamp.h"
#include "nodes/execnodes.h"

#include "provider/people.h"

#define RF_PERSON_COLUMNS 13

/* source: who says so; fetched_at: when it was said, 0: just now. */
extern void rf_person_put(ReturnSetInfo *result, const RfPerson *person,
						  const char *source, TimestampTz fetched_at);

#endif							/* ROLEFERRY_API_PERSON_H */
