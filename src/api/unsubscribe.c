/*-------------------------------------------------------------------------
 *
 * unsubscribe.c
 *	  roleferry.unsubscribe(): what a click on a mail's link does.
 *
 * Whatever a stranger hands over is answered alike: false, and nothing was
 * written.
 *
 * IDENTIFICATION
 *	  src/api/unsubscribe.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "fmgr.h"
#include "miscadmin.h"
#include "utils/builtins.h"

#include "api/caller.h"
#include "outbox/statement.h"
#include "outbox/unsubscribe.h"

PG_FUNCTION_INFO_V1(roleferry_unsubscribe);

Datum
roleferry_unsubscribe(PG_FUNCTION_ARGS)
{
	static RfStatement suppress = {
		"SELECT roleferry.suppress($1, 'unsubscribed', $2, 'by its link')",
		2, {TEXTOID, TEXTOID}, NULL
	};
	text	   *token = PG_ARGISNULL(0) ? NULL : PG_GETARG_TEXT_PP(0);
	RfUnsubscribe what;
	Datum		values[2];
	Oid			userid;
	int			context;

	if (token == NULL ||
		!rf_unsubscribe_verify(VARDATA_ANY(token), VARSIZE_ANY_EXHDR(token), &what))
		PG_RETURN_BOOL(false);
	values[0] = CStringGetTextDatum(what.address);
	values[1] = CStringGetTextDatum(rf_text_to_server(what.stream));
	rf_caller_become_owner(fcinfo, &userid, &context);
	SPI_connect();
	(void) rf_statement_run(&suppress, values, NULL);
	SPI_finish();
	SetUserIdAndSecContext(userid, context);
	PG_RETURN_BOOL(true);
}
