/*-------------------------------------------------------------------------
 *
 * people_json.h
 *	  People as JSON of our own, as the cache keeps them.
 *
 *-------------------------------------------------------------------------
 */
#ifndef ROLEFERRY_PEOPLE_JSON_H
#define ROLEFERRY_PEOPLE_JSON_H

#include "codec/text.h"
#include "provider/people.h"

/*
 * An array with an object for each; what is not known is left out.  The
 * buffer fails on text that is not UTF-8.
 */
extern void rf_people_put_json(RfBuffer *out, const RfPerson *people, size_t npeople);

/*
 * The other way.  False: it is no such array, or memory is short; nothing is
 * to be freed then.  Otherwise *people is to be freed, and each of them.
 */
extern bool rf_people_get_json(const char *json, size_t len, RfPerson **people,
							   size_t *npeople);

#endif							/* ROLEFERRY_PEOPLE_JSON_H */
