/*-------------------------------------------------------------------------
 *
 * render.c
 *	  A job's args as the request of the account it goes out by.
 *
 * After the claim is durable, so that a mail that crashes us is marked.
 *
 * IDENTIFICATION
 *	  src/worker/render.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xact.h"
#include "utils/memutils.h"

#include "outbox/email_args.h"
#include "outbox/unsubscribe.h"
#include "provider/events.h"
#include "provider/redirect.h"
#include "settings.h"
#include "worker/render.h"
#include "worker/search.h"

#define RF_JOB_TEXT_MAX		64

static RfRendered render_guarded(RfFlight *flight, const char *secret,
								 const char *installation, char *why);
static RfRendered build(const RfRendering *rendering, RfEmail *email, RfRequest *request,
						char *why);
static bool add_unsubscribe(RfEmail *email, char *why);
static size_t take_off(RfText *list, size_t count, List *taken_off);
static RfRendered take_error(MemoryContext context, char *why);

/* Conversion to UTF-8 can raise, and needs a transaction: see email_args.h. */
RfRendered
rf_render_request(RfFlight *flight, const char *secret, const char *installation,
				  char *why)
{
	MemoryContext context = CurrentMemoryContext;
	volatile RfRendered rendered = RF_RENDER_NEVER;

	PG_TRY();
	{
		if (rf_email_args_need_transaction())
		{
			StartTransactionCommand();
			MemoryContextSwitchTo(flight->context);
			rendered = render_guarded(flight, secret, installation, why);
			CommitTransactionCommand();
		}
		else
			rendered = render_guarded(flight, secret, installation, why);
	}
	PG_CATCH();
	{
		rendered = take_error(context, why);
	}
	PG_END_TRY();
	MemoryContextSwitchTo(context);
	return rendered;
}

/* Not having memory is no fault of the mail's. */
static RfRendered
take_error(MemoryContext context, char *why)
{
	ErrorData  *error;
	RfRendered	rendered;

	MemoryContextSwitchTo(context);
	error = CopyErrorData();
	FlushErrorState();
	if (IsTransactionState())
		AbortCurrentTransaction();
	strlcpy(why, error->message, RF_REASON_MAX + 1);
	rendered = error->sqlerrcode == ERRCODE_OUT_OF_MEMORY ?
		RF_RENDER_NO_MEMORY : RF_RENDER_NEVER;
	FreeErrorData(error);
	return rendered;
}

static RfRendered
render_guarded(RfFlight *flight, const char *secret,
			   const char *installation, char *why)
{
	MemoryContext old = MemoryContextSwitchTo(flight->context);
	const RfRosterEntry *entry = flight->entry;
	RfRendering rendering = {
		.job_id = flight->job->id,
		.args = flight->job->args,
		.taken_off = flight->taken_off,
		.installation = installation,
		.provider = entry->provider,
		.account = {
			.base_url = entry->base_url,
			.region = entry->region,
			.domain = entry->domain,
			.dialect = entry->dialect,
			.secret = secret,
			.sandbox = flight->tests
		}
	};
	RfRendered	rendered = RF_RENDER_NEVER;
	bool		no_memory;

	if (flight->search == NULL)
		rendered = rf_render_mail(&rendering, &flight->transfer.request, why);
	else if (rf_search_build(flight, &rendering.account, why, &no_memory))
		rendered = RF_RENDERED;
	else if (no_memory)
		rendered = RF_RENDER_NO_MEMORY;
	MemoryContextSwitchTo(old);
	return rendered;
}

RfRendered
rf_render_mail(const RfRendering *rendering, RfRequest *request, char *why)
{
	char		rf_job[RF_JOB_TEXT_MAX];
	RfEmail		email;
	RfFieldError error;
	List	   *accounts;

	if (!rf_email_from_args(rendering->args, &email, &accounts, &error) ||
		!rf_email_check(&email, &error))
	{
		snprintf(why, RF_REASON_MAX + 1, "\"%s\" %s", error.field, error.problem);
		return RF_RENDER_NEVER;
	}
	if (!rendering->provider->sends_email)
	{
		strlcpy(why, "the account's provider was changed to one that sends no e-mail", RF_REASON_MAX + 1);
		return RF_RENDER_NEVER;
	}
	snprintf(rf_job, sizeof(rf_job), "%s." INT64_FORMAT, rendering->installation, rendering->job_id);
	email.rf_job.data = rf_job;
	email.rf_job.len = strlen(rf_job);
	email.ncc = take_off(email.cc, email.ncc, rendering->taken_off);
	email.nbcc = take_off(email.bcc, email.nbcc, rendering->taken_off);
	return build(rendering, &email, request, why);
}

/* With headers of ours, if it is to have any. */
static RfRendered
build(const RfRendering *rendering, RfEmail *email, RfRequest *request, char *why)
{
	RfBuffer	original = {0};
	bool		built = true;

	if (email->unsubscribe && !add_unsubscribe(email, why))
		return RF_RENDER_NO_MEMORY;
	if (rf_redirect_all_to != NULL && rf_redirect_all_to[0] != '\0')
		built = rf_email_redirect(email, rf_redirect_all_to,
								  palloc((email->nheaders + 1) * sizeof(RfPair)), &original);
	built = built && rendering->provider->build_email(&rendering->account, email, request);
	rf_buffer_free(&original);

	/* The mail is good, so there is one reason left. */
	if (!built)
		strlcpy(why, "out of memory", RF_REASON_MAX + 1);
	return built ? RF_RENDERED : RF_RENDER_NO_MEMORY;
}

/* RFC 8058.  False: the key is not there, which is no fault of the mail's. */
static bool
add_unsubscribe(RfEmail *email, char *why)
{
	static const char post[] = "List-Unsubscribe=One-Click";
	char		problem[RF_UNSUBSCRIBE_WHY_MAX];
	char	   *url = rf_unsubscribe_url_of(email, problem);
	RfPair	   *headers = palloc((email->nheaders + 2) * sizeof(RfPair));
	char	   *value;

	if (url == NULL)
	{
		strlcpy(why, problem, RF_REASON_MAX + 1);
		return false;
	}
	if (email->nheaders > 0)
		memcpy(headers, email->headers, email->nheaders * sizeof(RfPair));
	value = psprintf("<%s>", url);
	headers[email->nheaders].name = (RfText)
	{
		"List-Unsubscribe", strlen("List-Unsubscribe")
	};
	headers[email->nheaders++].value = (RfText)
	{
		value, strlen(value)
	};
	headers[email->nheaders].name = (RfText)
	{
		"List-Unsubscribe-Post", strlen("List-Unsubscribe-Post")
	};
	headers[email->nheaders++].value = (RfText)
	{
		post, strlen(post)
	};
	email->headers = headers;
	return true;
}

/* The list without those that are suppressed; its new length. */
static size_t
take_off(RfText *list, size_t count, List *taken_off)
{
	size_t		kept = 0;

	for (size_t i = 0; i < count; i++)
	{
		char		folded[RF_EVENT_ADDRESS_MAX + 1];
		bool		gone = false;
		ListCell   *lc;

		(void) rf_event_fold_address(list[i].data, list[i].len, folded);
		foreach(lc, taken_off)
			gone |= strcmp(lfirst(lc), folded) == 0;
		if (!gone)
			list[kept++] = list[i];
	}
	return kept;
}
