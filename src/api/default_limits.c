/*-------------------------------------------------------------------------
 *
 * default_limits.c
 *	  roleferry.default_limits(): what providers document.
 *
 * One set of limits for each account, or for all that share their windows.  A
 * limit's id is its account's and its place, below 0: those of rows are above.
 *
 * IDENTIFICATION
 *	  src/api/default_limits.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "datatype/timestamp.h"
#include "fmgr.h"
#include "funcapi.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"

#include "account/account.h"
#include "api/version.h"

#define COLUMNS 7

static Datum find_peers(const RfAccount *account, bool *is_first);
static void put_limit(ReturnSetInfo *result, const RfAccount *account,
					  Datum peers, int place);

PG_FUNCTION_INFO_V1(roleferry_default_limits);

Datum
roleferry_default_limits(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *result = (ReturnSetInfo *) fcinfo->resultinfo;
	ListCell   *lc;

	InitMaterializedSRF(fcinfo, 0);
	rf_version_require_columns(result->setDesc, COLUMNS);
	foreach(lc, rf_account_list())
	{
		const RfAccount *account = lfirst(lc);
		const RfDefaultLimit *limits = account->provider->default_limits;
		bool		is_first;
		Datum		peers;

		if (limits == NULL)
			continue;
		peers = find_peers(account, &is_first);
		for (int i = 0; is_first && limits[i].max_requests > 0; i++)
			put_limit(result, account, peers, i);
	}
	return (Datum) 0;
}

/* The accounts that share its windows; it speaks for them if it is the oldest. */
static Datum
find_peers(const RfAccount *account, bool *is_first)
{
	List	   *accounts = rf_account_list();
	Datum	   *peers = palloc(list_length(accounts) * sizeof(Datum));
	int			npeers = 0;
	ListCell   *lc;

	*is_first = true;
	foreach(lc, accounts)
	{
		const RfAccount *other = lfirst(lc);

		if (!rf_account_shares(account, other))
			continue;
		*is_first &= other->serverid >= account->serverid;
		peers[npeers++] = ObjectIdGetDatum(other->serverid);
	}
	return PointerGetDatum(construct_array(peers, npeers, OIDOID, sizeof(Oid), true, TYPALIGN_INT));
}

static void
put_limit(ReturnSetInfo *result, const RfAccount *account, Datum peers, int place)
{
	const RfDefaultLimit *limit = &account->provider->default_limits[place];
	Interval   *per = palloc0(sizeof(Interval));
	Datum		values[COLUMNS];
	bool		nulls[COLUMNS] = {false};

	per->time = (TimeOffset) limit->per_s * USECS_PER_SEC;
	values[0] = Int64GetDatum(-((int64) account->serverid * RF_DEFAULT_LIMITS_MAX + place + 1));
	values[1] = ObjectIdGetDatum(account->serverid);
	values[2] = peers;
	values[3] = CStringGetTextDatum(account->name);
	values[4] = CStringGetTextDatum(limit->endpoint);
	values[5] = Int32GetDatum((int32) limit->max_requests);
	values[6] = IntervalPGetDatum(per);
	tuplestore_putvalues(result->setResult, result->setDesc, values, nulls);
}
