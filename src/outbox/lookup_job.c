/*-------------------------------------------------------------------------
 *
 * lookup_job.c
 *	  Jobs that ask something and are paid for in batches: what a new one must
 *	  satisfy.
 *
 * The order of accounts is frozen here: the one that is named, or all by name
 * that can do it and the role may use.
 *
 * IDENTIFICATION
 *	  src/outbox/lookup_job.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "utils/acl.h"
#include "utils/builtins.h"

#include "account/account.h"
#include "errors.h"
#include "outbox/enrich_args.h"
#include "outbox/lookup_job.h"
#include "outbox/verify_args.h"
#include "provider/people.h"

static bool serves_verification(const RfProvider *provider);
static bool check_verify_args(Jsonb *args, char **account, RfFieldError *error);
static bool serves_enrichment(const RfProvider *provider);
static bool check_enrich_args(Jsonb *args, char **account, RfFieldError *error);
static bool no_account(const RfLookupTask *task, const RfJobDraft *draft,
					   const char *named, const char *forbidden,
					   RfJobProblem *problem);

static const RfLookupTask tasks[] = {
	{
		.task = "verify_emails",
		.what = "verifies addresses",
		.example = "CREATE SERVER neverbounce FOREIGN DATA WRAPPER roleferry OPTIONS (provider 'neverbounce', secret 'neverbounce').",
		.serves = serves_verification,
		.check_args = check_verify_args
	},
	{
		.task = RF_ENRICH_TASK,
		.what = "enriches people",
		.example = "CREATE SERVER apollo FOREIGN DATA WRAPPER roleferry OPTIONS (provider 'apollo', secret 'apollo').",
		.serves = serves_enrichment,
		.check_args = check_enrich_args
	}
};

const RfLookupTask *
rf_lookup_task(const char *task)
{
	for (size_t i = 0; i < lengthof(tasks); i++)
	{
		if (strcmp(tasks[i].task, task) == 0)
			return &tasks[i];
	}
	return NULL;
}

bool
rf_lookup_job_check(const RfLookupTask *task, RfJobDraft *draft,
					RfJobProblem *problem)
{
	Oid			roleid = get_role_oid(draft->role, true);
	char	   *named = NULL;
	const char *forbidden = NULL;
	RfFieldError error;
	ListCell   *lc;

	memset(problem, 0, sizeof(*problem));
	memset(&error, 0, sizeof(error));
	problem->sqlerrcode = RF_ERRCODE_BAD_ARGUMENT;
	if (!task->check_args(draft->args, &named, &error))
	{
		problem->message = psprintf("\"%s\" %s", error.field, error.problem);
		problem->hint = error.hint[0] ? pstrdup(error.hint) : NULL;
		return false;
	}
	if (draft->delivery != NULL && strcmp(draft->delivery, "at_least_once") == 0)
	{
		problem->message = psprintf("\"delivery\" of %s cannot be at_least_once", task->task);
		problem->hint = pstrdup("It is paid for once: leave it out.");
		return false;
	}
	if (!OidIsValid(roleid))
	{
		problem->sqlerrcode = RF_ERRCODE_NOT_FOUND;
		problem->message = psprintf("role \"%s\" does not exist", draft->role);
		return false;
	}

	draft->accounts = NIL;
	foreach(lc, rf_account_list())
	{
		RfAccount  *account = lfirst(lc);

		if (!task->serves(account->provider) ||
			(named != NULL && strcmp(named, account->name) != 0))
			continue;
		if (rf_account_usable(account, roleid))
			draft->accounts = lappend(draft->accounts, pstrdup(account->name));
		else
			forbidden = pstrdup(account->name);
	}
	return draft->accounts != NIL || no_account(task, draft, named, forbidden, problem);
}

static bool
no_account(const RfLookupTask *task, const RfJobDraft *draft,
		   const char *named, const char *forbidden, RfJobProblem *problem)
{
	if (forbidden != NULL)
	{
		problem->sqlerrcode = RF_ERRCODE_NO_RIGHT;
		problem->message = named != NULL ?
			psprintf("role \"%s\" may not use account \"%s\"", draft->role, named) :
			psprintf("role \"%s\" may use no account that %s", draft->role, task->what);
		problem->hint = psprintf("GRANT USAGE ON FOREIGN SERVER %s TO %s.",
								 quote_identifier(forbidden), quote_identifier(draft->role));
		return false;
	}
	problem->sqlerrcode = RF_ERRCODE_NOT_FOUND;
	problem->message = named != NULL ?
		psprintf("there is no account \"%s\" that %s", named, task->what) :
		psprintf("there is no account that %s", task->what);
	problem->hint = pstrdup(task->example);
	return false;
}

static bool
serves_verification(const RfProvider *provider)
{
	return provider->verify != NULL;
}

static bool
check_verify_args(Jsonb *args, char **account, RfFieldError *error)
{
	RfVerifyArgs read;

	if (!rf_verify_args_read(args, &read, error))
		return false;
	*account = read.account;
	return true;
}

static bool
serves_enrichment(const RfProvider *provider)
{
	return provider->people != NULL && provider->people->enrich_max > 0;
}

static bool
check_enrich_args(Jsonb *args, char **account, RfFieldError *error)
{
	RfEnrichArgs read;

	if (!rf_enrich_args_read(args, &read, error))
		return false;
	*account = read.account;
	return true;
}
