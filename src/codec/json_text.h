/*-------------------------------------------------------------------------
 *
 * json_text.h
 *	  Writing JSON strings into a buffer.
 *
 * For bodies that hold a secret or thousands of items: nothing is built in
 * memory first, and the buffer wipes what it gives back.
 *
 *-------------------------------------------------------------------------
 */
#ifndef ROLEFERRY_JSON_TEXT_H
#define ROLEFERRY_JSON_TEXT_H

#include "codec/text.h"

/* Bytes the text takes inside a JSON string, quotes not counted. */
extern size_t rf_json_text_len(const char *data, size_t len);

/* The text with its quotes; the buffer fails when it is not UTF-8. */
extern void rf_json_text_add(RfBuffer *buffer, const char *data, size_t len);

/* The same as a member: "name":"value", with a comma before it unless first. */
extern void rf_json_text_member(RfBuffer *buffer, const char *name,
								RfText value);

/* A member that is a list of strings; none is no member. */
extern void rf_json_text_list(RfBuffer *buffer, const char *name,
							  const RfText *list, size_t count);

#endif							/* ROLEFERRY_JSON_TEXT_H */
