/*-------------------------------------------------------------------------
 *
 * activation.c
 *	  May this database send at all, and if not, why?
 *
 * The row written by activate() names the cluster, the database and the
 * timeline it was written in.  A logical copy has no row, a template copy one
 * that names another database.  A restore to a point in time has the same
 * names but another timeline, and so has a standby after its promotion:
 * history.c tells the two apart.
 *
 * IDENTIFICATION
 *	  src/outbox/activation.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/table.h"
#include "access/xlog.h"
#include "catalog/namespace.h"
#include "catalog/pg_type.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"
#include "utils/timestamp.h"

#include "outbox/activation.h"
#include "outbox/history.h"
#include "outbox/statement.h"
#include "settings.h"

/* Of roleferry.activation, in its order. */
enum
{
	C_SYSTEM_IDENTIFIER = 2,
	C_DATABASE_OID,
	C_TIMELINE,
	C_INSTALLATION,
	C_ACTIVE,
	C_ACTIVATED_AT
};

static void read_row(RfActivation *activation, HeapTuple row, TupleDesc desc);
static RfActivationState judge(RfActivation *activation, uint64 system_identifier,
							   Oid database, bool active);
static RfActivationState judge_timeline(RfActivation *activation, TimeLineID now);

void
rf_activation_read(RfActivation *activation)
{
	Relation	table;
	SysScanDesc scan;
	HeapTuple	row;

	activation->why[0] = '\0';
	if (RecoveryInProgress())
	{
		activation->state = RF_ACTIVATION_STANDBY;
		strlcpy(activation->why, "a standby sends nothing until it is promoted",
				sizeof(activation->why));
		return;
	}

	/* At each claim, so without a statement: it has one row, or none. */
	table = table_open(get_relname_relid("activation", get_namespace_oid("roleferry", false)),
					   AccessShareLock);
	scan = systable_beginscan(table, InvalidOid, false, GetActiveSnapshot(), 0, NULL);
	row = systable_getnext(scan);
	if (HeapTupleIsValid(row))
		read_row(activation, row, RelationGetDescr(table));
	else
	{
		activation->state = RF_ACTIVATION_NEVER;
		strlcpy(activation->why, "it was never activated", sizeof(activation->why));
	}
	systable_endscan(scan);
	table_close(table, NoLock);
}

void
rf_activation_follow(const RfActivation *activation)
{
	static RfStatement follow = {
		"UPDATE roleferry.activation AS a SET timeline = $2 WHERE a.timeline = $1",
		2, {INT4OID, INT4OID}, NULL
	};
	Datum		values[2];

	values[0] = Int32GetDatum((int32) activation->timeline);
	values[1] = Int32GetDatum((int32) GetWALInsertionTimeLine());
	(void) rf_statement_run(&follow, values, NULL);
}

bool
rf_activation_own(const RfActivation *activation)
{
	return activation->state == RF_ACTIVATION_ACTIVE ||
		activation->state == RF_ACTIVATION_OFF;
}

const char *
rf_activation_state_text(RfActivationState state)
{
	switch (state)
	{
		case RF_ACTIVATION_NEVER:
			return "never activated";
		case RF_ACTIVATION_STANDBY:
			return "standby";
		case RF_ACTIVATION_CLUSTER:
			return "another cluster";
		case RF_ACTIVATION_DATABASE:
			return "another database";
		case RF_ACTIVATION_RESTORED:
			return "restored";
		case RF_ACTIVATION_FORKED:
			return "forked";
		case RF_ACTIVATION_HELD:
			return "held";
		case RF_ACTIVATION_OFF:
			return "deactivated";
		case RF_ACTIVATION_PROMOTED:
		case RF_ACTIVATION_ACTIVE:
			return "active";
	}
	return "unknown";			/* keep compiler quiet */
}

static void
read_row(RfActivation *activation, HeapTuple row, TupleDesc desc)
{
	bool		isnull;
	uint64		system_identifier = (uint64) DatumGetInt64(heap_getattr(row, C_SYSTEM_IDENTIFIER, desc, &isnull));
	Oid			database = DatumGetObjectId(heap_getattr(row, C_DATABASE_OID, desc, &isnull));
	bool		active = DatumGetBool(heap_getattr(row, C_ACTIVE, desc, &isnull));

	activation->timeline = (TimeLineID) DatumGetInt32(heap_getattr(row, C_TIMELINE, desc, &isnull));
	text_to_cstring_buffer(DatumGetTextPP(heap_getattr(row, C_INSTALLATION, desc, &isnull)),
						   activation->installation, RF_INSTALLATION_MAX);
	activation->activated_at = DatumGetTimestampTz(heap_getattr(row, C_ACTIVATED_AT, desc, &isnull));
	activation->state = judge(activation, system_identifier, database, active);
}

static RfActivationState
judge(RfActivation *activation, uint64 system_identifier, Oid database, bool active)
{
	TimeLineID	now = GetWALInsertionTimeLine();
	RfActivationState state;

	if (system_identifier != GetSystemIdentifier())
	{
		strlcpy(activation->why, "it is a copy: it was activated in another cluster",
				sizeof(activation->why));
		return RF_ACTIVATION_CLUSTER;
	}
	if (database != MyDatabaseId)
	{
		strlcpy(activation->why, "it is a copy: it was activated as another database of this cluster",
				sizeof(activation->why));
		return RF_ACTIVATION_DATABASE;
	}
	state = now == activation->timeline ? RF_ACTIVATION_ACTIVE :
		judge_timeline(activation, now);
	if (active || (state != RF_ACTIVATION_ACTIVE && state != RF_ACTIVATION_PROMOTED))
		return state;
	strlcpy(activation->why, "it was deactivated", sizeof(activation->why));
	return RF_ACTIVATION_OFF;
}

/* Another timeline than the row's. */
static RfActivationState
judge_timeline(RfActivation *activation, TimeLineID now)
{
	char		reason[RF_HISTORY_REASON_MAX];

	switch (rf_history_since(activation->timeline, now, reason))
	{
		case RF_HISTORY_RESTORED:
			snprintf(activation->why, sizeof(activation->why),
					 "it was restored to a point in time (%s)", reason);
			return RF_ACTIVATION_RESTORED;
		case RF_HISTORY_UNKNOWN:
			snprintf(activation->why, sizeof(activation->why),
					 "it was restored, or promoted unseen: it was activated on timeline %u and is on timeline %u",
					 activation->timeline, now);
			return RF_ACTIVATION_FORKED;
		case RF_HISTORY_PROMOTED:
			break;
	}
	if (rf_after_promotion == RF_AFTER_PROMOTION_CONTINUE)
		return RF_ACTIVATION_PROMOTED;
	snprintf(activation->why, sizeof(activation->why),
			 "it is held after the promotion to timeline %u, as roleferry.after_promotion says", now);
	return RF_ACTIVATION_HELD;
}
