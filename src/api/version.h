/*-------------------------------------------------------------------------
 *
 * version.h
 *	  SQL that was written for another version of this library.
 *
 * After a package upgrade the old extension calls the new library until ALTER
 * EXTENSION UPDATE, and before a restart it may be the other way round.  What
 * a function reads beyond what it was handed would be anybody's memory, so
 * each that takes or returns a list of things asks first.
 *
 *-------------------------------------------------------------------------
 */
#ifndef ROLEFERRY_VERSION_H
#define ROLEFERRY_VERSION_H

#include "fmgr.h"

struct TupleDescData;

/* Both raise 55000 and say what to do. */
extern void rf_version_require_arguments(FunctionCallInfo fcinfo, int count);
extern void rf_version_require_columns(struct TupleDescData *desc, int count);

/* "what" is not as this library expects it. */
extern void rf_version_raise(const char *what);

#endif							/* ROLEFERRY_VERSION_H */
