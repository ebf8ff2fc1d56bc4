/*-------------------------------------------------------------------------
 *
 * order_claim.c
 *	  Claiming jobs of order keys where they are parked.
 *
 * IDENTIFICATION
 *	  src/outbox/order_claim.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "utils/timestamp.h"

#include "outbox/claimed_job.h"
#include "outbox/order.h"
#include "outbox/statement.h"

List *
rf_order_claim(int64 incarnation, const int64 *ids, int nids, TimestampTz now,
			   MemoryContext parent)
{
	static RfStatement claim = {
		"UPDATE roleferry.outbox AS o"
		" SET worker = $1, attempts = o.attempts + 1, claimed_at = pg_catalog.now()"
		" WHERE o.id = ANY (ARRAY("
		"SELECT c.id FROM roleferry.outbox AS c WHERE c.id = ANY ($2) AND c.worker IS NULL"
		" AND c.lane < 0 AND c.run_at <= $3 FOR UPDATE SKIP LOCKED))"
		" RETURNING " RF_JOB_COLUMNS,
		3, {INT8OID, INT8ARRAYOID, TIMESTAMPTZOID}, NULL
	};
	Datum		values[3];

	values[0] = Int64GetDatum(incarnation);
	values[1] = rf_id_array(ids, nids);
	values[2] = TimestampTzGetDatum(now);
	return rf_claimed_jobs(rf_statement_run(&claim, values, NULL), parent);
}
