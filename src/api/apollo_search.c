/*-------------------------------------------------------------------------
 *
 * apollo_search.c
 *	  roleferry.apollo_search(): people of a firm, asked for while the caller
 *	  waits.
 *
 * A search changes nothing at the provider and costs nothing there, so it has
 * no job.  The dispatcher asks, page by page; this session reads the answers.
 * An error is never an empty result.
 *
 * IDENTIFICATION
 *	  src/api/apollo_search.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "fmgr.h"
#include "funcapi.h"
#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "catalog/pg_type.h"
#include "utils/array.h"
#include "utils/builtins.h"

#include "account/account.h"
#include "api/person.h"
#include "api/question.h"
#include "api/timeout.h"
#include "api/version.h"
#include "errors.h"
#include "shmem/shared.h"

enum
{
	P_DOMAIN,
	P_TITLES,
	P_SENIORITIES,
	P_LOCATIONS,
	P_MAX_RESULTS,
	P_ACCOUNT,
	P_TIMEOUT,
	NPARAMETERS
};

#define DEFAULT_MAX_RESULTS	25
#define DEFAULT_TIMEOUT_US	INT64CONST(10000000)

static void read_query(FunctionCallInfo fcinfo, RfPeopleQuery *query);
static RfText text_parameter(FunctionCallInfo fcinfo, int which);
static const RfText *list_parameter(FunctionCallInfo fcinfo, int which,
									const char *name, size_t *count);
static RfText to_utf8(text *value);
static RfAccount *choose_account(FunctionCallInfo fcinfo);

PG_FUNCTION_INFO_V1(roleferry_apollo_search);

Datum
roleferry_apollo_search(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *result = (ReturnSetInfo *) fcinfo->resultinfo;
	RfAccount  *account;
	RfQuestion	question;
	RfAsker		asker;
	int64		found = 0;
	bool		more = true;

	rf_shared_require();
	rf_version_require_arguments(fcinfo, NPARAMETERS);
	InitMaterializedSRF(fcinfo, 0);
	rf_version_require_columns(result->setDesc, RF_PERSON_COLUMNS);

	memset(&question, 0, sizeof(question));
	read_query(fcinfo, &question.query);
	account = choose_account(fcinfo);
	question.server = account->serverid;
	rf_asker_init(&asker, account,
				  rf_timeout_parameter(fcinfo, P_TIMEOUT, DEFAULT_TIMEOUT_US));

	while (more && found < question.query.max_results)
	{
		RfPeoplePage page;

		question.page++;
		rf_asker_search(&asker, &question, &page);
		for (size_t i = 0; i < page.npeople && found < question.query.max_results; i++, found++)
			rf_person_put(result, &page.people[i], asker.provider->name);
		more = page.more;
		rf_people_page_free(&page);
	}
	return (Datum) 0;
}

static void
read_query(FunctionCallInfo fcinfo, RfPeopleQuery *query)
{
	RfFieldError error;

	query->domain = text_parameter(fcinfo, P_DOMAIN);
	query->titles = list_parameter(fcinfo, P_TITLES, "titles", &query->ntitles);
	query->seniorities = list_parameter(fcinfo, P_SENIORITIES, "seniorities", &query->nseniorities);
	query->locations = list_parameter(fcinfo, P_LOCATIONS, "locations", &query->nlocations);
	query->max_results = PG_ARGISNULL(P_MAX_RESULTS) ? DEFAULT_MAX_RESULTS :
		PG_GETARG_INT32(P_MAX_RESULTS);
	if (!rf_people_check(query, &error))
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
	char	   *string = text_to_cstring(value);
	RfText		result;

	result.data = pg_server_to_any(string, (int) strlen(string), PG_UTF8);
	result.len = strlen(result.data);
	return result;
}

/*
 * The one that is named, or the first by name that this role may use.  One
 * whose searches cost credits is not asked unless it is named.
 */
static RfAccount *
choose_account(FunctionCallInfo fcinfo)
{
	char	   *name = PG_ARGISNULL(P_ACCOUNT) ? NULL : text_to_cstring(PG_GETARG_TEXT_PP(P_ACCOUNT));
	bool		any = false;
	ListCell   *lc;

	foreach(lc, rf_account_list())
	{
		RfAccount  *account = lfirst(lc);

		if (account->provider->people == NULL ||
			(name == NULL ? account->provider->people->search_costs :
			 strcmp(account->name, name) != 0))
			continue;
		any = true;
		if (rf_account_usable(account, GetUserId()))
			return account;
	}
	if (any)
		ereport(ERROR,
				(errcode(RF_ERRCODE_NO_RIGHT),
				 name ? errmsg("role \"%s\" may not use account \"%s\"", GetUserNameFromId(GetUserId(), false), name) :
				 errmsg("role \"%s\" may use no account that searches people", GetUserNameFromId(GetUserId(), false)),
				 errhint("GRANT USAGE ON FOREIGN SERVER ... TO %s.",
						 quote_identifier(GetUserNameFromId(GetUserId(), false)))));
	ereport(ERROR,
			(errcode(RF_ERRCODE_NOT_FOUND),
			 name ? errmsg("there is no account \"%s\" that searches people", name) :
			 errmsg("there is no account that searches people"),
			 errhint("CREATE SERVER apollo FOREIGN DATA WRAPPER roleferry OPTIONS (provider 'apollo', secret 'apollo').")));
	return NULL;				/* keep compiler quiet */
}
