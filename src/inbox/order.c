/*-------------------------------------------------------------------------
 *
 * order.c
 *	  How far the events of an object have come: rows of roleferry.webhook_order.
 *
 * IDENTIFICATION
 *	  src/inbox/order.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_type.h"

#include "inbox/order.h"
#include "outbox/statement.h"

bool
rf_order_advance(Datum *values)
{
	static RfStatement move = {
		"INSERT INTO roleferry.webhook_order AS o (role, object, occurred_at, rank) VALUES ($1, $2, $3, $4)"
		" ON CONFLICT (role, object) DO UPDATE SET occurred_at = excluded.occurred_at, rank = excluded.rank"
		" WHERE (o.occurred_at, o.rank) < (excluded.occurred_at, excluded.rank) RETURNING true",
		4, {TEXTOID, TEXTOID, TIMESTAMPTZOID, INT4OID}, NULL
	};

	return rf_statement_run(&move, values, NULL) > 0;
}
