/*-------------------------------------------------------------------------
 *
 * activation.c
 *	  May this database send at all?
 *
 * The row written by activate() names the cluster and the database it was
 * written in.  A logical copy has no row, a template copy has one that names
 * another database: both stay mute.
 *
 * IDENTIFICATION
 *	  src/outbox/activation.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xlog.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"

#include "outbox/activation.h"
#include "outbox/statement.h"

void
rf_activation_read(RfActivation *activation)
{
	static RfStatement find = {
		"SELECT a.system_identifier, a.database_oid, a.installation, a.active, a.activated_at FROM roleferry.activation AS a",
		0, {0}, NULL
	};
	HeapTuple	tuple;
	TupleDesc	desc;
	bool		isnull;
	uint64		system_identifier;
	Oid			database;

	activation->state = RF_ACTIVATION_NONE;
	if (rf_statement_run(&find, NULL, NULL) == 0)
		return;

	tuple = SPI_tuptable->vals[0];
	desc = SPI_tuptable->tupdesc;
	system_identifier = (uint64) DatumGetInt64(SPI_getbinval(tuple, desc, 1, &isnull));
	database = DatumGetObjectId(SPI_getbinval(tuple, desc, 2, &isnull));
	if (system_identifier != GetSystemIdentifier() || database != MyDatabaseId)
	{
		activation->state = RF_ACTIVATION_FOREIGN;
		return;
	}
	if (!DatumGetBool(SPI_getbinval(tuple, desc, 4, &isnull)))
		return;

	strlcpy(activation->installation,
			TextDatumGetCString(SPI_getbinval(tuple, desc, 3, &isnull)),
			RF_INSTALLATION_MAX);
	activation->activated_at =
		DatumGetTimestampTz(SPI_getbinval(tuple, desc, 5, &isnull));
	activation->state = RF_ACTIVATION_ACTIVE;
}
