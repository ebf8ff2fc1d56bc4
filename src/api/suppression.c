/*-------------------------------------------------------------------------
 *
 * suppression.c
 *	  Addresses as the suppression list knows them, for its SQL functions.
 *
 * IDENTIFICATION
 *	  src/api/suppression.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "fmgr.h"
#include "utils/builtins.h"

#include "errors.h"
#include "outbox/suppression.h"

static void fold(text *address, char folded[RF_EVENT_ADDRESS_MAX + 1]);

PG_FUNCTION_INFO_V1(roleferry_fold_address);
PG_FUNCTION_INFO_V1(roleferry_address_key);

Datum
roleferry_fold_address(PG_FUNCTION_ARGS)
{
	char		folded[RF_EVENT_ADDRESS_MAX + 1];

	fold(PG_GETARG_TEXT_PP(0), folded);
	PG_RETURN_TEXT_P(cstring_to_text(folded));
}

Datum
roleferry_address_key(PG_FUNCTION_ARGS)
{
	char		folded[RF_EVENT_ADDRESS_MAX + 1];
	bytea	   *key = palloc(VARHDRSZ + RF_ADDRESS_KEY_BYTES);

	fold(PG_GETARG_TEXT_PP(0), folded);
	SET_VARSIZE(key, VARHDRSZ + RF_ADDRESS_KEY_BYTES);
	if (!rf_suppression_address_key(folded, (uint8 *) VARDATA(key)))
		PG_RETURN_NULL();
	PG_RETURN_BYTEA_P(key);
}

static void
fold(text *address, char folded[RF_EVENT_ADDRESS_MAX + 1])
{
	if (!rf_event_fold_address(VARDATA_ANY(address), VARSIZE_ANY_EXHDR(address), folded))
		ereport(ERROR,
				(errcode(RF_ERRCODE_BAD_ARGUMENT),
				 errmsg("\"address\" is not one e-mail address"),
				 errhint("Write it as local@domain.")));
}
