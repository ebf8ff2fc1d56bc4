/*-------------------------------------------------------------------------
 *
 * shape.c
 *	  Are the tables as the extension made them?
 *
 * IDENTIFICATION
 *	  src/outbox/shape.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/tupdesc.h"
#include "catalog/pg_class.h"
#include "catalog/pg_type.h"
#include "utils/builtins.h"
#include "utils/rel.h"

#include "outbox/shape.h"

/* What rf_job_check() and the parameters' checks stand for. */
#define OUTBOX_CHECKS	4

typedef struct Column
{
	const char *name;
	Oid			type;
} Column;

static const Column outbox_columns[RF_OUTBOX_COLUMNS] = {
	{"id", INT8OID},
	{"lane", INT8OID},
	{"run_at", TIMESTAMPTZOID},
	{"created_at", TIMESTAMPTZOID},
	{"claimed_at", TIMESTAMPTZOID},
	{"expires_at", TIMESTAMPTZOID},
	{"worker", INT8OID},
	{"attempts", INT4OID},
	{"failures", INT4OID},
	{"max_attempts", INT4OID},
	{"priority", INT2OID},
	{"crashes", INT2OID},
	{"delivery", TEXTOID},
	{"task", TEXTOID},
	{"role", TEXTOID},
	{"queue", TEXTOID},
	{"tenant_key", TEXTOID},
	{"order_key", TEXTOID},
	{"idempotency_key", TEXTOID},
	{"on_done", TEXTOID},
	{"accounts", TEXTARRAYOID},
	{"args", JSONBOID},
	{"mode", TEXTOID}
};

static const Column message_columns[RF_MESSAGE_COLUMNS] = {
	{"job_id", INT8OID},
	{"created_at", TIMESTAMPTZOID},
	{"sent_at", TIMESTAMPTZOID},
	{"http_status", INT4OID},
	{"attempts", INT4OID},
	{"account", TEXTOID},
	{"provider", TEXTOID},
	{"message_id", TEXTOID},
	{"raw_message_id", TEXTOID},
	{"role", TEXTOID},
	{"queue", TEXTOID},
	{"tenant_key", TEXTOID},
	{"from_addr", TEXTOID},
	{"to_addr", TEXTOID},
	{"subject", TEXTOID},
	{"note", TEXTOID}
};

static bool is_plain(Relation relation);
static bool has_columns(Relation relation, const Column *columns, int ncolumns);

/* Its trigger checks rows, and finds those of ours checked. */
bool
rf_shape_is_outbox(Relation outbox)
{
	const TriggerDesc *triggers = outbox->trigdesc;

	return is_plain(outbox) && triggers != NULL && triggers->numtriggers == 1 &&
		triggers->trig_insert_before_row &&
		has_columns(outbox, outbox_columns, RF_OUTBOX_COLUMNS) &&
		RelationGetDescr(outbox)->constr->num_check == OUTBOX_CHECKS;
}

bool
rf_shape_is_message(Relation message)
{
	return is_plain(message) && message->trigdesc == NULL &&
		has_columns(message, message_columns, RF_MESSAGE_COLUMNS) &&
		RelationGetDescr(message)->constr->num_check == 0;
}

const char *
rf_shape_outbox_name(RfOutboxColumn column)
{
	return outbox_columns[column].name;
}

Oid
rf_shape_outbox_type(RfOutboxColumn column)
{
	return outbox_columns[column].type;
}

void
rf_shape_set(TupleTableSlot *row, int column, Datum value)
{
	row->tts_values[column] = value;
	row->tts_isnull[column] = false;
}

void
rf_shape_set_text(TupleTableSlot *row, int column, const char *value)
{
	if (value != NULL)
		rf_shape_set(row, column, CStringGetTextDatum(value));
}

bool
rf_shape_lacks_a_value(Relation relation, const TupleTableSlot *row)
{
	TupleDesc	desc = RelationGetDescr(relation);

	for (int i = 0; i < desc->natts; i++)
		if (row->tts_isnull[i] && TupleDescAttr(desc, i)->attnotnull)
			return true;
	return false;
}

static bool
is_plain(Relation relation)
{
	return relation->rd_rel->relkind == RELKIND_RELATION &&
		!relation->rd_rel->relispartition && !relation->rd_rel->relrowsecurity &&
		relation->rd_rules == NULL;
}

static bool
has_columns(Relation relation, const Column *columns, int ncolumns)
{
	TupleDesc	desc = RelationGetDescr(relation);

	if (desc->natts != ncolumns || desc->constr == NULL)
		return false;
	for (int i = 0; i < ncolumns; i++)
	{
		Form_pg_attribute column = TupleDescAttr(desc, i);

		if (column->attisdropped || column->attgenerated != '\0' ||
			column->atttypid != columns[i].type ||
			strcmp(NameStr(column->attname), columns[i].name) != 0)
			return false;
	}
	return true;
}
