/*-------------------------------------------------------------------------
 *
 * version.c
 *	  SQL that was written for another version of this library.
 *
 * Counts only: no catalog is read, so that it costs nothing.
 *
 * IDENTIFICATION
 *	  src/api/version.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/tupdesc.h"
#include "utils/builtins.h"

#include "errors.h"
#include "api/version.h"

PG_FUNCTION_INFO_V1(roleferry_library_version);

/* Of the library that this session uses, which is the server's. */
Datum
roleferry_library_version(PG_FUNCTION_ARGS)
{
	PG_RETURN_TEXT_P(cstring_to_text(RF_VERSION));
}

void
rf_version_require_arguments(FunctionCallInfo fcinfo, int count)
{
	if (PG_NARGS() != count)
		rf_version_raise("this function's list of arguments");
}

void
rf_version_require_columns(TupleDesc desc, int count)
{
	if (desc->natts != count)
		rf_version_raise("this function's list of columns");
}

void
rf_version_raise(const char *what)
{
	ereport(ERROR,
			(errcode(RF_ERRCODE_NOT_READY),
			 errmsg("%s is that of another version of roleferry", what),
			 errdetail("The library that the server has loaded is of version %s.", RF_VERSION),
			 errhint("After an upgrade, restart the server and run ALTER EXTENSION roleferry UPDATE.")));
}
