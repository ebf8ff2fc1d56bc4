/*-------------------------------------------------------------------------
 *
 * charge.c
 *	  The databases that the launcher is to serve, and how each of them stands.
 *
 * Used by the launcher only.  What is wrong stands in pg_stat_activity for as
 * long as it lasts; the log has one line when it begins, another each hour,
 * and never more than one a minute over all databases.
 *
 * IDENTIFICATION
 *	  src/worker/charge.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "pgstat.h"
#include "utils/varlena.h"

#include "errors.h"
#include "settings.h"
#include "worker/charge.h"

/* Log lines: one a minute, and each trouble again after an hour. */
#define COMPLAIN_US			INT64CONST(60000000)
#define REPEAT_US			INT64CONST(3600000000)


RfCharge	rf_charges[RF_MAX_DISPATCHERS];

static bool want_database(const char *name);

void
rf_charges_read(void)
{
	List	   *names = NIL;
	char	   *setting = pstrdup(rf_databases ? rf_databases : "");
	ListCell   *lc;

	for (int i = 0; i < RF_MAX_DISPATCHERS; i++)
		rf_charges[i].wanted = false;
	if (!SplitIdentifierString(setting, ',', &names))
	{
		ereport(LOG,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("invalid list of names in roleferry.databases")));
		names = NIL;
	}
	foreach(lc, names)
	{
		if (want_database(lfirst(lc)))
			continue;
		ereport(LOG,
				(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
				 errmsg("roleferry.databases lists more than %d databases: \"%s\" and what follows it is not served",
						RF_MAX_DISPATCHERS, (char *) lfirst(lc))));
		break;
	}
	list_free(names);
	pfree(setting);
}

/* False: there is no room. */
static bool
want_database(const char *name)
{
	RfCharge   *place = NULL;

	for (int i = 0; i < RF_MAX_DISPATCHERS; i++)
	{
		if (strcmp(rf_charges[i].database, name) == 0)
		{
			rf_charges[i].wanted = true;
			return true;
		}
		if (place == NULL && rf_charges[i].database[0] == '\0')
			place = &rf_charges[i];
	}
	if (place == NULL)
		return false;
	memset(place, 0, sizeof(*place));
	strlcpy(place->database, name, sizeof(place->database));
	place->wanted = true;
	place->backoff_us = RF_FIRST_BACKOFF_US;
	return true;
}

void
rf_charge_set_trouble(RfCharge *charge, const char *format,...)
{
	bool		was_well = charge->trouble[0] == '\0';
	va_list		args;

	va_start(args, format);
	vsnprintf(charge->trouble, sizeof(charge->trouble), format, args);
	va_end(args);
	if (was_well || charge->trouble[0] == '\0')
		charge->complained_us = 0;
}

/* One line for all that is new, and none within a minute of the last. */
void
rf_charges_complain(int64 now)
{
	static int64 last_us = 0;
	RfCharge   *first = NULL;
	int			others = 0;

	if (last_us != 0 && now - last_us < COMPLAIN_US)
		return;
	for (int i = 0; i < RF_MAX_DISPATCHERS; i++)
	{
		RfCharge   *charge = &rf_charges[i];

		if (charge->database[0] == '\0' || charge->trouble[0] == '\0' ||
			(charge->complained_us != 0 && now - charge->complained_us < REPEAT_US))
			continue;
		charge->complained_us = now;
		if (first == NULL)
			first = charge;
		else
			others++;
	}
	if (first == NULL)
		return;
	last_us = now;
	ereport(LOG,
			(errcode(RF_ERRCODE_NOT_READY),
			 errmsg("database \"%s\" has no roleferry dispatcher: %s", first->database, first->trouble),
			 others > 0 ? errdetail("So it is with %d more.", others) : 0,
			 errhint("The launcher's line in pg_stat_activity tells how things stand.")));
}

/* What pg_stat_activity shows. */
void
rf_charges_report(void)
{
	char		activity[NAMEDATALEN + 256];
	RfCharge   *first = NULL;
	int			wanted = 0;
	int			troubled = 0;

	for (int i = 0; i < RF_MAX_DISPATCHERS; i++)
	{
		RfCharge   *charge = &rf_charges[i];

		if (charge->database[0] == '\0' || !charge->wanted)
			continue;
		wanted++;
		if (charge->trouble[0] == '\0')
			continue;
		troubled++;
		if (first == NULL)
			first = charge;
	}
	if (wanted == 0)
		strlcpy(activity, "roleferry.databases is empty", sizeof(activity));
	else if (first == NULL)
		snprintf(activity, sizeof(activity), "databases served: %d", wanted);
	else
		snprintf(activity, sizeof(activity), "databases served: %d of %d; not \"%s\": %s",
				 wanted - troubled, wanted, first->database, first->trouble);
	pgstat_report_activity(STATE_IDLE, activity);
}
