/*-------------------------------------------------------------------------
 *
 * job.c
 *	  What a new job must satisfy, and what follows from it.
 *
 * The order of accounts is frozen here: the ones asked for, or those of
 * roleferry.email_accounts, or all by name; less those the role may not use
 * and those the mail is too large for.  The lane is a hash over everything
 * that decides when a job can go, accounts included: jobs of one lane find
 * the same gates open, so a closed account holds up nobody else's lane.
 *
 * IDENTIFICATION
 *	  src/outbox/job.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "common/hashfn.h"
#include "lib/stringinfo.h"
#include "mb/pg_wchar.h"
#include "utils/acl.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"
#include "utils/varlena.h"

#include "account/account.h"
#include "errors.h"
#include "outbox/email_args.h"
#include "outbox/handler_job.h"
#include "outbox/job.h"
#include "outbox/lookup_job.h"
#include "outbox/on_done.h"
#include "outbox/routing.h"
#include "outbox/search_args.h"
#include "outbox/search_job.h"
#include "outbox/task.h"
#include "outbox/unsubscribe.h"
#include "settings.h"

#define EMAIL_TASK		"send_email"

/* Of queue, tenant_key, order_key and idempotency_key. */
#define NAME_MAX_BYTES	200

static bool check_email(RfJobDraft *draft, RfJobProblem *problem);
static bool check_columns(RfJobDraft *draft, RfJobProblem *problem);
static bool choose_queue(RfJobDraft *draft, RfJobProblem *problem);
static bool check_key(const char *field, const char *value, RfJobProblem *problem);
static bool choose_accounts(RfJobDraft *draft, const RfEmail *email,
							List *wanted, RfJobProblem *problem);
static bool names_account(List *accounts, const char *name);
static bool too_large(const RfEmail *email, uint64 size, uint64 limit,
					  RfJobProblem *problem);
static bool no_account(RfJobDraft *draft, RfJobProblem *problem);
static void add_line(StringInfo lines, const char *line);
static bool bad_argument(RfJobProblem *problem, const char *field,
						 const char *what, const char *hint);
static bool set_problem(RfJobProblem *problem, int sqlerrcode, char *message,
						char *detail, char *hint);

bool
rf_job_check(RfJobDraft *draft, RfJobProblem *problem)
{
	const RfLookupTask *lookup = rf_lookup_task(draft->task);
	bool		good;

	if (!check_columns(draft, problem))
		return false;
	if (lookup != NULL)
		good = rf_lookup_job_check(lookup, draft, problem);
	else if (strcmp(draft->task, RF_SEARCH_TASK) == 0)
		good = rf_search_job_check(draft, problem);
	else if (strcmp(draft->task, EMAIL_TASK) == 0)
		good = check_email(draft, problem);
	else if (strcmp(draft->task, RF_HANDLER_TASK) == 0)
		good = rf_handler_job_check(draft, problem);
	else
		good = rf_task_check(draft, problem);
	if (!good || (draft->on_done != NULL && !rf_on_done_check(draft, problem)))
		return false;
	draft->lane = rf_job_lane(draft);
	return true;
}

bool
rf_job_is_built_in(const char *task)
{
	return strcmp(task, EMAIL_TASK) == 0 || strcmp(task, RF_SEARCH_TASK) == 0 ||
		rf_lookup_task(task) != NULL;
}

const char *
rf_job_mode_column(const RfJobDraft *draft)
{
	return draft->mode == RF_MODE_LIVE ? NULL : rf_mode_text(draft->mode);
}

Datum
rf_job_accounts_array(const RfJobDraft *draft)
{
	int			naccounts = list_length(draft->accounts);
	Datum	   *names = palloc(naccounts * sizeof(Datum));

	for (int i = 0; i < naccounts; i++)
		names[i] = CStringGetTextDatum((char *) list_nth(draft->accounts, i));
	return PointerGetDatum(construct_array(names, naccounts, TEXTOID, -1, false,
										   TYPALIGN_INT));
}

void
rf_job_raise(const RfJobProblem *problem)
{
	ereport(ERROR,
			(errcode(problem->sqlerrcode),
			 errmsg_internal("%s", problem->message),
			 problem->detail ? errdetail_internal("%s", problem->detail) : 0,
			 problem->hint ? errhint("%s", problem->hint) : 0));
}

static bool
check_email(RfJobDraft *draft, RfJobProblem *problem)
{
	RfEmail		email;
	RfFieldError error;
	char		why[RF_UNSUBSCRIBE_WHY_MAX];
	List	   *wanted;

	if (!rf_email_from_args(draft->args, &email, &wanted, &error) ||
		!rf_email_check(&email, &error))
		return bad_argument(problem, error.field, error.problem, error.hint);
	if (email.unsubscribe && rf_unsubscribe_url_of(&email, why) == NULL)
		return set_problem(problem, RF_ERRCODE_NOT_READY,
						   psprintf("a mail cannot have a link for unsubscribing: %s", why), NULL,
						   pstrdup("See roleferry.unsubscribe_url and roleferry.unsubscribe_secrets."));
	return choose_accounts(draft, &email, wanted, problem);
}

static bool
check_columns(RfJobDraft *draft, RfJobProblem *problem)
{
	if (TIMESTAMP_NOT_FINITE(draft->run_at))
		return bad_argument(problem, "run_at", "is infinite", "");
	if (draft->priority < 0 || draft->priority > 10)
		return bad_argument(problem, "priority", "is not between 0 and 10",
							"10 goes first.");
	if (draft->delivery != NULL &&
		strcmp(draft->delivery, "at_most_once") != 0 &&
		strcmp(draft->delivery, "at_least_once") != 0)
		return bad_argument(problem, "delivery", "is not a way of delivery",
							"Valid values are: at_most_once, at_least_once.");
	if (!check_key("queue", draft->queue, problem) ||
		!check_key("tenant_key", draft->tenant_key, problem) ||
		!check_key("order_key", draft->order_key, problem) ||
		!check_key("idempotency_key", draft->idempotency_key, problem))
		return false;
	draft->effective_delivery = draft->delivery ? draft->delivery : "at_most_once";
	return choose_queue(draft, problem);
}

/* The one it names, or where its task is routed to. */
static bool
choose_queue(RfJobDraft *draft, RfJobProblem *problem)
{
	const char *name = draft->queue ? draft->queue : pstrdup(rf_routing_queue_of(draft->task));
	const RfQueue *queue = rf_routing_find(name);

	if (queue == NULL)
		return set_problem(problem, RF_ERRCODE_BAD_ARGUMENT,
						   psprintf("there is no queue \"%s\"", name),
						   draft->queue ? NULL : pstrdup("Its task is routed there: see roleferry.route."),
						   psprintf("Queues are: %s. More are made by INSERT INTO roleferry.queue.", rf_routing_names()));
	draft->effective_queue = name;
	draft->priority = Min(draft->priority, queue->max_priority);
	return true;
}

static bool
check_key(const char *field, const char *value, RfJobProblem *problem)
{
	if (value == NULL)
		return true;
	if (value[0] == '\0')
		return bad_argument(problem, field, "is empty", "Leave it out instead.");
	if (strlen(value) > NAME_MAX_BYTES)
		return bad_argument(problem, field, "is longer than 200 bytes", "");
	if (rf_text_has_control(value, strlen(value)))
		return bad_argument(problem, field, "holds a control character", "");
	return true;
}

static bool
choose_accounts(RfJobDraft *draft, const RfEmail *email, List *wanted,
				RfJobProblem *problem)
{
	Oid			roleid = get_role_oid(draft->role, true);
	uint64		smallest = 0;
	uint64		limit = 0;
	ListCell   *lc;

	if (!OidIsValid(roleid))
		return set_problem(problem, RF_ERRCODE_NOT_FOUND,
						   psprintf("role \"%s\" does not exist", draft->role),
						   NULL, NULL);

	draft->accounts = NIL;
	foreach(lc, rf_job_candidate_accounts(wanted))
	{
		const char *name = lfirst(lc);
		RfAccount  *account = rf_account_by_name(name);

		if (names_account(draft->accounts, name))
			continue;			/* a second try of the same is no failover */
		if (account == NULL || !account->provider->sends_email)
		{
			if (wanted == NIL)
				continue;
			return set_problem(problem, RF_ERRCODE_NOT_FOUND,
							   psprintf("there is no e-mail account \"%s\"", name),
							   pstrdup("It is named in \"accounts\"."),
							   pstrdup("An account is a server: CREATE SERVER ... FOREIGN DATA WRAPPER roleferry."));
		}
		if (!rf_account_usable(account, roleid))
		{
			if (wanted == NIL)
				continue;
			return set_problem(problem, RF_ERRCODE_NO_RIGHT,
							   psprintf("role \"%s\" may not use account \"%s\"", draft->role, name),
							   NULL,
							   psprintf("GRANT USAGE ON FOREIGN SERVER %s TO %s.",
										quote_identifier(name), quote_identifier(draft->role)));
		}
		if (!account->provider->mail_fits(email))
		{
			uint64		size = account->provider->mail_size(email);

			limit = Max(limit, account->provider->max_mail_bytes);
			smallest = smallest == 0 ? size : Min(smallest, size);
			continue;
		}
		draft->accounts = lappend(draft->accounts, pstrdup(account->name));
	}

	if (draft->accounts != NIL)
		return true;
	if (smallest > 0)
		return too_large(email, smallest, limit, problem);
	return no_account(draft, problem);
}

static bool
names_account(List *accounts, const char *name)
{
	ListCell   *lc;

	foreach(lc, accounts)
	{
		if (strcmp(lfirst(lc), name) == 0)
			return true;
	}
	return false;
}

/* Copies: looking an account up may rebuild the list the names came from. */
List *
rf_job_candidate_accounts(List *wanted)
{
	List	   *names = NIL;
	ListCell   *lc;

	if (wanted != NIL)
		return wanted;

	if (rf_email_accounts != NULL && rf_email_accounts[0] != '\0' &&
		SplitIdentifierString(pstrdup(rf_email_accounts), ',', &names) &&
		names != NIL)
		return names;

	names = NIL;
	foreach(lc, rf_account_list())
		names = lappend(names, pstrdup(((RfAccount *) lfirst(lc))->name));
	return names;
}

static bool
too_large(const RfEmail *email, uint64 size, uint64 limit,
		  RfJobProblem *problem)
{
	const char *field = email->body_html.len >= email->body_text.len ?
		"body_html" : "body_text";

	return set_problem(problem, RF_ERRCODE_BAD_ARGUMENT,
					   psprintf("\"%s\" is too large: no account takes a mail of " UINT64_FORMAT " bytes",
								field, size),
					   psprintf("The largest that one takes is " UINT64_FORMAT " bytes.", limit),
					   NULL);
}

static bool
no_account(RfJobDraft *draft, RfJobProblem *problem)
{
	ListCell   *lc;

	foreach(lc, rf_account_list())
	{
		RfAccount  *account = lfirst(lc);

		if (account->provider->sends_email)
			return set_problem(problem, RF_ERRCODE_NO_RIGHT,
							   psprintf("role \"%s\" may use no e-mail account", draft->role),
							   rf_email_accounts != NULL && rf_email_accounts[0] != '\0' ?
							   psprintf("roleferry.email_accounts is \"%s\".", rf_email_accounts) : NULL,
							   psprintf("GRANT USAGE ON FOREIGN SERVER %s TO %s.",
										quote_identifier(account->name), quote_identifier(draft->role)));
	}
	return set_problem(problem, RF_ERRCODE_NOT_READY,
					   pstrdup("there is no e-mail account"), NULL,
					   pstrdup("CREATE SERVER sendgrid FOREIGN DATA WRAPPER roleferry OPTIONS (provider 'sendgrid', secret 'sendgrid')."));
}

int64
rf_job_lane(const RfJobDraft *draft)
{
	StringInfoData key;
	ListCell   *lc;
	uint64		hash;

	initStringInfo(&key);
	appendStringInfoString(&key, draft->effective_queue);
	add_line(&key, draft->task);
	add_line(&key, draft->tenant_key ? draft->tenant_key : "");
	foreach(lc, draft->accounts)
		add_line(&key, lfirst(lc));

	/* Who runs in the name of another role waits for other executors. */
	if (draft->accounts == NIL)
		appendStringInfo(&key, "\n\n%s", draft->role);

	/* What is not sent waits for no account. */
	if (draft->mode == RF_MODE_CAPTURE && rf_job_is_built_in(draft->task))
		appendStringInfo(&key, "\n\n\n%s", rf_mode_text(draft->mode));

	hash = hash_bytes_extended((unsigned char *) key.data, key.len, 0) & PG_INT64_MAX;
	if (hash < RF_LANE_FIRST_HASH)
		hash += RF_LANE_FIRST_HASH;
	return (int64) hash;
}

/* For each job: appendStringInfo() would cost as much as all the rest. */
static void
add_line(StringInfo lines, const char *line)
{
	appendStringInfoChar(lines, '\n');
	appendStringInfoString(lines, line);
}

static bool
bad_argument(RfJobProblem *problem, const char *field, const char *what,
			 const char *hint)
{
	return set_problem(problem, RF_ERRCODE_BAD_ARGUMENT,
					   psprintf("\"%s\" %s", field, what), NULL,
					   hint[0] ? pstrdup(hint) : NULL);
}

static bool
set_problem(RfJobProblem *problem, int sqlerrcode, char *message, char *detail,
			char *hint)
{
	problem->sqlerrcode = sqlerrcode;
	problem->message = message;
	problem->detail = detail;
	problem->hint = hint;
	return false;
}
