/*-------------------------------------------------------------------------
 *
 * headers.h
 *	  The headers of a request, as a front hands them over: a jsonb object.
 *
 *-------------------------------------------------------------------------
 */
#ifndef ROLEFERRY_HEADERS_H
#define ROLEFERRY_HEADERS_H

#include "utils/jsonb.h"

#include "webhook/signature.h"

/*
 * Notes those that a scheme reads; values point into the jsonb.  A value is a
 * string or a list of strings, whatever else is there is passed over.  False:
 * this is no object.
 */
extern bool rf_headers_read(Jsonb *headers, RfSignHeaders *out);

#endif							/* ROLEFERRY_HEADERS_H */
