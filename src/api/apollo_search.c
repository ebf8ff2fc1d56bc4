/*-------------------------------------------------------------------------
 *
 * apollo_search.c
 *	  roleferry.apollo_search(): people of a firm, asked for while the caller
 *	  waits.
 *
 * A search changes nothing at the provider and costs nothing there, so it has
 * no job.  Here are the arguments and what is wrong with them; search.c does
 * the rest.
 *
 * IDENTIFICATION
 *	  src/api/apollo_search.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "fmgr.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "catalog/pg_type.h"
#include "utils/array.h"
#include "utils/builtins.h"

#include "api/person.h"
#include "api/search.h"
#include "api/timeout.h"
#include "api/version.h"
#include "compat.h"
#include "errors.h"
#include "outbox/search_args.h"
#include "outbox/search_job.h"
#include "shmem/gate.h"
#include "shmem/shared.h"

enum
{
	P_DOMAIN,
	P_TITLES,
	P_SENIORITIES,
	P_LOCATIONS,
	P_MAX_RESULTS,
	P_ENRICH,
	P_MAX_CREDITS,
	P_ACCOUNT,
	P_TIMEOUT,
	P_WAIT,
	NPARAMETERS
};

#define DEFAULT_TIMEOUT_US	INT64CONST(10000000)

static void read_query(FunctionCallInfo fcinfo, RfSearch *search);
static RfText text_parameter(FunctionCallInfo fcinfo, int which);
static const RfText *list_parameter(FunctionCallInfo fcinfo, int which,
									const char *name, size_t *count);
static RfText to_utf8(text *value);
static List *choose_accounts(FunctionCallInfo fcinfo);

PG_FUNCTION_INFO_V1(roleferry_apollo_search);

Datum
roleferry_apollo_search(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *result = (ReturnSetInfo *) fcinfo->resultinfo;
	RfSearch	search;

	rf_shared_require();
	rf_version_require_arguments(fcinfo, NPARAMETERS);
	InitMaterializedSRF(fcinfo, 0);
	rf_version_require_columns(result->setDesc, RF_PERSON_COLUMNS);

	memset(&search, 0, sizeof(search));
	read_query(fcinfo, &search);
	search.accounts = choose_accounts(fcinfo);
	search.deadline_us = rf_gate_now_us() +
		rf_timeout_parameter(fcinfo, P_TIMEOUT, DEFAULT_TIMEOUT_US);
	search.wait = !PG_ARGISNULL(P_WAIT) && PG_GETARG_BOOL(P_WAIT);
	rf_search_run(&search, result);
	return (Datum) 0;
}

/* By default everybody is paid for who is not known yet. */
static void
read_query(FunctionCallInfo fcinfo, RfSearch *search)
{
	RfPeopleQuery *query = &search->query;
	RfFieldError error;

	query->domain = text_parameter(fcinfo, P_DOMAIN);
	query->titles = list_parameter(fcinfo, P_TITLES, "titles", &query->ntitles);
	query->seniorities = list_parameter(fcinfo, P_SENIORITIES, "seniorities", &query->nseniorities);
	query->locations = list_parameter(fcinfo, P_LOCATIONS, "locations", &query->nlocations);
	query->max_results = PG_ARGISNULL(P_MAX_RESULTS) ? RF_SEARCH_MAX_RESULTS :
		PG_GETARG_INT32(P_MAX_RESULTS);
	search->enrich = PG_ARGISNULL(P_ENRICH) || PG_GETARG_BOOL(P_ENRICH);
	search->max_credits = PG_ARGISNULL(P_MAX_CREDITS) ? (int) query->max_results :
		PG_GETARG_INT32(P_MAX_CREDITS);
	if (!rf_search_args_check(query, search->max_credits, &error))
		ereport(ERROR,
				(errcode(RF_ERRCODE_BAD_ARGUMENT),
				 errmsg("\"%s\" %s", error.field, error.problem),
				 error.hint[0] ? errhint("%s", error.hint) : 0));
}

static RfText
text_parameter(FunctionCallInfo fcinfo, int which)
{
	RfText		none = {"", 0};

	return PG_ARGISNULL(which) ? none : to_utf8(PG_GETARG_TEXT_PP(which));
}

static const RfText *
list_parameter(FunctionCallInfo fcinfo, int which, const char *name, size_t *count)
{
	Datum	   *elements;
	bool	   *nulls;
	int			nelements;
	RfText	   *list;

	*count = 0;
	if (PG_ARGISNULL(which))
		return NULL;
	deconstruct_array(PG_GETARG_ARRAYTYPE_P(which), TEXTOID, -1, false, TYPALIGN_INT,
					  &elements, &nulls, &nelements);
	list = palloc(Max(nelements, 1) * sizeof(RfText));
	for (int i = 0; i < nelements; i++)
	{
		if (nulls[i])
			ereport(ERROR,
					(errcode(RF_ERRCODE_BAD_ARGUMENT),
					 errmsg("\"%s[%d]\" is null", name, i + 1)));
		list[i] = to_utf8(DatumGetTextPP(elements[i]));
	}
	*count = (size_t) nelements;
	return list;
}

static RfText
to_utf8(text *value)
{
	return rf_search_text(VARDATA_ANY(value), VARSIZE_ANY_EXHDR(value));
}

static List *
choose_accounts(FunctionCallInfo fcinfo)
{
	char	   *name = PG_ARGISNULL(P_ACCOUNT) ? NULL : text_to_cstring(PG_GETARG_TEXT_PP(P_ACCOUNT));
	RfJobProblem problem;
	List	   *accounts = rf_search_choose(name, GetUserId(), &problem);

	if (accounts == NIL)
		rf_job_raise(&problem);
	return accounts;
}
