/*-------------------------------------------------------------------------
 *
 * idempotency.c
 *	  One job for each (role, idempotency key).
 *
 * IDENTIFICATION
 *	  src/outbox/idempotency.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "utils/builtins.h"

#include "outbox/idempotency.h"
#include "outbox/statement.h"

bool
rf_idempotency_take(const char *role, const char *key, int64 job_id)
{
	static RfStatement insert_key = {
		"INSERT INTO roleferry.idempotency (role, key, job_id) VALUES ($1, $2, $3)"
		" ON CONFLICT (role, key) DO NOTHING",
		3, {TEXTOID, TEXTOID, INT8OID}, NULL
	};
	Datum		values[3];

	values[0] = CStringGetTextDatum(role);
	values[1] = CStringGetTextDatum(key);
	values[2] = Int64GetDatum(job_id);
	return rf_statement_run(&insert_key, values, NULL) > 0;
}

int64
rf_idempotency_holder(const char *role, const char *key)
{
	static RfStatement find = {
		"SELECT job_id FROM roleferry.idempotency"
		" WHERE role OPERATOR(pg_catalog.=) $1 AND key OPERATOR(pg_catalog.=) $2",
		2, {TEXTOID, TEXTOID}, NULL
	};
	Datum		values[2];
	bool		isnull;

	values[0] = CStringGetTextDatum(role);
	values[1] = CStringGetTextDatum(key);
	if (rf_statement_run(&find, values, NULL) == 0)
		ereport(ERROR,
				(errcode(ERRCODE_T_R_SERIALIZATION_FAILURE),
				 errmsg("another transaction has just used this idempotency_key"),
				 errhint("Try the transaction again.")));
	return DatumGetInt64(SPI_getbinval(SPI_tuptable->vals[0],
									   SPI_tuptable->tupdesc, 1, &isnull));
}
