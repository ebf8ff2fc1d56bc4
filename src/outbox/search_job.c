/*-------------------------------------------------------------------------
 *
 * search_job.c
 *	  Searches of people: who is asked, and what a job must satisfy.
 *
 * A search that costs nothing may be asked again when a dispatcher dies or an
 * answer is lost, so such a job is delivered at least once.  Where one of its
 * accounts charges for a search it is not asked again.  What is paid for people
 * is a batch's affair, and paid once, whatever the job's delivery.
 *
 * IDENTIFICATION
 *	  src/outbox/search_job.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "miscadmin.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/varlena.h"

#include "account/account.h"
#include "errors.h"
#include "outbox/search_args.h"
#include "outbox/search_job.h"
#include "settings.h"

static List *candidates(const char *named, bool *chosen);
static void no_account(const char *named, Oid roleid, const char *forbidden, RfJobProblem *problem);
static bool bad_argument(RfJobProblem *problem, char *message, const char *hint);

List *
rf_search_choose(const char *named, Oid roleid, RfJobProblem *problem)
{
	List	   *accounts = NIL;
	const char *forbidden = NULL;
	bool		chosen;
	ListCell   *lc;

	foreach(lc, candidates(named, &chosen))
	{
		RfAccount  *account = rf_account_by_name(lfirst(lc));
		RfSearchAccount *copy;

		if (account == NULL || account->provider->people == NULL ||
			(!chosen && account->provider->people->search_costs))
			continue;
		if (!rf_account_usable(account, roleid))
		{
			forbidden = lfirst(lc);
			continue;
		}
		copy = palloc(sizeof(RfSearchAccount));
		copy->server = account->serverid;
		copy->name = pstrdup(account->name);
		copy->provider = account->provider;
		accounts = lappend(accounts, copy);
	}
	if (accounts == NIL)
		no_account(named, roleid, forbidden, problem);
	return accounts;
}

bool
rf_search_job_check(RfJobDraft *draft, RfJobProblem *problem)
{
	Oid			roleid = get_role_oid(draft->role, true);
	bool		costs = false;
	RfSearchArgs args;
	RfFieldError error;
	List	   *accounts;
	ListCell   *lc;

	memset(problem, 0, sizeof(*problem));
	memset(&error, 0, sizeof(error));
	if (!rf_search_args_read(draft->args, &args, &error))
		return bad_argument(problem, psprintf("\"%s\" %s", error.field, error.problem), error.hint);
	if (!OidIsValid(roleid))
	{
		problem->sqlerrcode = RF_ERRCODE_NOT_FOUND;
		problem->message = psprintf("role \"%s\" does not exist", draft->role);
		return false;
	}
	accounts = rf_search_choose(args.account, roleid, problem);
	if (accounts == NIL)
		return false;

	draft->accounts = NIL;
	foreach(lc, accounts)
	{
		RfSearchAccount *account = lfirst(lc);

		draft->accounts = lappend(draft->accounts, account->name);
		costs |= account->provider->people->search_costs;
	}
	if (costs && draft->delivery != NULL && strcmp(draft->delivery, "at_least_once") == 0)
		return bad_argument(problem,
							psprintf("\"delivery\" of %s cannot be at_least_once here", RF_SEARCH_TASK),
							"One of its accounts charges for a search: leave it out.");
	if (draft->delivery == NULL)
		draft->effective_delivery = costs ? "at_most_once" : "at_least_once";
	return true;
}

/* Copies: looking an account up may rebuild the list the names came from. */
static List *
candidates(const char *named, bool *chosen)
{
	List	   *names = NIL;
	ListCell   *lc;

	*chosen = true;
	if (named != NULL)
		return list_make1(pstrdup(named));
	if (rf_search_accounts != NULL && rf_search_accounts[0] != '\0' &&
		SplitIdentifierString(pstrdup(rf_search_accounts), ',', &names) && names != NIL)
		return names;
	*chosen = false;
	names = NIL;
	foreach(lc, rf_account_list())
		names = lappend(names, pstrdup(((RfAccount *) lfirst(lc))->name));
	return names;
}

static void
no_account(const char *named, Oid roleid, const char *forbidden, RfJobProblem *problem)
{
	const char *role = GetUserNameFromId(roleid, false);

	memset(problem, 0, sizeof(*problem));
	if (forbidden != NULL)
	{
		problem->sqlerrcode = RF_ERRCODE_NO_RIGHT;
		problem->message = named != NULL ?
			psprintf("role \"%s\" may not use account \"%s\"", role, named) :
			psprintf("role \"%s\" may use no account that searches people", role);
		problem->hint = psprintf("GRANT USAGE ON FOREIGN SERVER %s TO %s.",
								 quote_identifier(forbidden), quote_identifier(role));
		return;
	}
	problem->sqlerrcode = RF_ERRCODE_NOT_FOUND;
	problem->message = named != NULL ?
		psprintf("there is no account \"%s\" that searches people", named) :
		pstrdup("there is no account that searches people");
	problem->hint = pstrdup("CREATE SERVER apollo FOREIGN DATA WRAPPER roleferry OPTIONS (provider 'apollo', secret 'apollo').");
}

static bool
bad_argument(RfJobProblem *problem, char *message, const char *hint)
{
	problem->sqlerrcode = RF_ERRCODE_BAD_ARGUMENT;
	problem->message = message;
	problem->hint = hint[0] ? pstrdup(hint) : NULL;
	return false;
}
