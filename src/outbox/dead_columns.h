/*-------------------------------------------------------------------------
 *
 * dead_columns.h
 *	  What a dead letter takes over from the outbox, for statements.
 *
 * "g" is the row that was deleted.
 *
 *-------------------------------------------------------------------------
 */
#ifndef ROLEFERRY_DEAD_COLUMNS_H
#define ROLEFERRY_DEAD_COLUMNS_H

#define RF_DEAD_COLUMNS \
	"job_id, created_at, attempts, failures, max_attempts, priority, task, role, queue, tenant_key," \
	" order_key, idempotency_key, on_done, delivery, accounts, args, mode"
#define RF_DEAD_VALUES \
	"g.id, g.created_at, g.attempts, g.failures, g.max_attempts, g.priority, g.task, g.role, g.queue, g.tenant_key," \
	" g.order_key, g.idempotency_key, g.on_done, g.delivery, g.accounts, g.args, g.mode"

#endif							/* ROLEFERRY_DEAD_COLUMNS_H */
