/*-------------------------------------------------------------------------
 *
 * person.h
 *	  A person as a row of the SQL type roleferry.person.
 *
 *-------------------------------------------------------------------------
 */
#ifndef ROLEFERRY_API_PERSON_H
#define ROLEFERRY_API_PERSON_H

#include "nodes/execnodes.h"

#include "provider/people.h"

#define RF_PERSON_COLUMNS 12

/* source: who says so. */
extern void rf_person_put(ReturnSetInfo *result, const RfPerson *person,
						  const char *source);

#endif							/* ROLEFERRY_API_PERSON_H */
