/*-------------------------------------------------------------------------
 *
 * json.h
 *	  jansson, as it can be used inside a PostgreSQL server.
 *
 * The server's executable has a global function json_object(), the SQL one,
 * and the loader would bind our calls of jansson's to it: a crash.  This is
 * the only name they share, and jansson's own calls are bound inside its
 * library.  script/lint refuses json_object() anywhere else.
 *
 *-------------------------------------------------------------------------
 */
#ifndef ROLEFERRY_JSON_H
#define ROLEFERRY_JSON_H

#include <jansson.h>

/* A new empty object, or NULL when out of memory. */
static inline json_t *
rf_json_object(void)
{
	return json_pack("{}");
}

#endif							/* ROLEFERRY_JSON_H */
