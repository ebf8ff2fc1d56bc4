/*-------------------------------------------------------------------------
 *
 * shape.h
 *	  Are the tables as the extension made them?
 *
 * Only then are rows put into them, or taken out, without a statement.
 *
 *-------------------------------------------------------------------------
 */
#ifndef ROLEFERRY_SHAPE_H
#define ROLEFERRY_SHAPE_H

#include "executor/tuptable.h"
#include "utils/relcache.h"

/* In the tables' order, which a dump restores, too. */
typedef enum RfOutboxColumn
{
	RF_OUTBOX_ID,
	RF_OUTBOX_LANE,
	RF_OUTBOX_RUN_AT,
	RF_OUTBOX_CREATED_AT,
	RF_OUTBOX_CLAIMED_AT,
	RF_OUTBOX_EXPIRES_AT,
	RF_OUTBOX_WORKER,
	RF_OUTBOX_ATTEMPTS,
	RF_OUTBOX_FAILURES,
	RF_OUTBOX_MAX_ATTEMPTS,
	RF_OUTBOX_PRIORITY,
	RF_OUTBOX_CRASHES,
	RF_OUTBOX_DELIVERY,
	RF_OUTBOX_TASK,
	RF_OUTBOX_ROLE,
	RF_OUTBOX_QUEUE,
	RF_OUTBOX_TENANT_KEY,
	RF_OUTBOX_ORDER_KEY,
	RF_OUTBOX_IDEMPOTENCY_KEY,
	RF_OUTBOX_ON_DONE,
	RF_OUTBOX_ACCOUNTS,
	RF_OUTBOX_ARGS,
	RF_OUTBOX_MODE,
	RF_OUTBOX_COLUMNS			/* how many */
} RfOutboxColumn;

typedef enum RfMessageColumn
{
	RF_MESSAGE_JOB_ID,
	RF_MESSAGE_CREATED_AT,
	RF_MESSAGE_SENT_AT,
	RF_MESSAGE_HTTP_STATUS,
	RF_MESSAGE_ATTEMPTS,
	RF_MESSAGE_ACCOUNT,
	RF_MESSAGE_PROVIDER,
	RF_MESSAGE_MESSAGE_ID,
	RF_MESSAGE_RAW_MESSAGE_ID,
	RF_MESSAGE_ROLE,
	RF_MESSAGE_QUEUE,
	RF_MESSAGE_TENANT_KEY,
	RF_MESSAGE_FROM_ADDR,
	RF_MESSAGE_TO_ADDR,
	RF_MESSAGE_SUBJECT,
	RF_MESSAGE_NOTE,
	RF_MESSAGE_COLUMNS			/* how many */
} RfMessageColumn;

/*
 * False: it has something that only a statement serves (a trigger, a rule, a
 * constraint, a policy or a column of somebody else's).
 */
extern bool rf_shape_is_outbox(Relation outbox);
extern bool rf_shape_is_message(Relation message);

/* For those who find a column by its name. */
extern const char *rf_shape_outbox_name(RfOutboxColumn column);
extern Oid	rf_shape_outbox_type(RfOutboxColumn column);

/* Fill a row; a text that is NULL is left out. */
extern void rf_shape_set(TupleTableSlot *row, int column, Datum value);
extern void rf_shape_set_text(TupleTableSlot *row, int column, const char *value);

/* Is there none in a column that must have one?  The statement says so. */
extern bool rf_shape_lacks_a_value(Relation relation, const TupleTableSlot *row);

#endif							/* ROLEFERRY_SHAPE_H */
