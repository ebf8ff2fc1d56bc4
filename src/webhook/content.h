/*-------------------------------------------------------------------------
 *
 * content.h
 *	  What an event says, apart from who sent it and when.
 *
 *-------------------------------------------------------------------------
 */
#ifndef ROLEFERRY_CONTENT_H
#define ROLEFERRY_CONTENT_H

#include <stdbool.h>
#include <stddef.h>

#include "codec/text.h"

/*
 * SHA-256 over some members of a JSON object, by paths like "data.object.id".
 * False: one of them is not there, or this is no such object.
 */
extern bool rf_content_digest(RfText event, const char *const *paths, size_t npaths,
							  unsigned char *digest);

extern bool rf_content_is_json(RfText body);

#endif							/* ROLEFERRY_CONTENT_H */
