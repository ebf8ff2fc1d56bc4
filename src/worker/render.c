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
#include "worker/render.h"

#define RF_JOB_TEXT_MAX		64

static bool render_guarded(RfFlight *flight, const RfSecret *secret,
						   const char *installation, char *why);

/* Conversion to UTF-8 can raise, and needs a transaction: see email_args.h. */
bool
rf_render_request(RfFlight *flight, const RfSecret *secret, const char *installation,
				  char *why)
{
	MemoryContext context = CurrentMemoryContext;
	volatile bool rendered = false;

	if (!rf_email_args_need_transaction())
		return render_guarded(flight, secret, installation, why);

	PG_TRY();
	{
		StartTransactionCommand();
		MemoryContextSwitchTo(flight->context);
		rendered = render_guarded(flight, secret, installation, why);
		CommitTransactionCommand();
	}
	PG_CATCH();
	{
		ErrorData  *error;

		MemoryContextSwitchTo(context);
		error = CopyErrorData();
		FlushErrorState();
		AbortCurrentTransaction();
		strlcpy(why, error->message, RF_REASON_MAX + 1);
		FreeErrorData(error);
		rendered = false;
	}
	PG_END_TRY();
	MemoryContextSwitchTo(context);
	return rendered;
}

static bool
render_guarded(RfFlight *flight, const RfSecret *secret,
			   const char *installation, char *why)
{
	MemoryContext old = MemoryContextSwitchTo(flight->context);
	RfRosterEntry *entry = flight->entry;
	char		rf_job[RF_JOB_TEXT_MAX];
	RfAccountConfig config;
	RfEmail		email;
	RfFieldError error;
	List	   *accounts;
	bool		good;

	good = rf_email_from_args(flight->job->args, &email, &accounts, &error);
	if (good)
		good = rf_email_check(&email, &error);
	if (!good)
		snprintf(why, RF_REASON_MAX + 1, "\"%s\" %s", error.field, error.problem);
	else
	{
		snprintf(rf_job, sizeof(rf_job), "%s." INT64_FORMAT, installation, flight->job->id);
		email.rf_job.data = rf_job;
		email.rf_job.len = strlen(rf_job);
		memset(&config, 0, sizeof(config));
		config.base_url = entry->base_url;
		config.region = entry->region;
		config.domain = entry->domain;
		config.secret = rf_secret_text(secret);
		good = entry->provider->build_email(&config, &email, &flight->transfer.request);
		if (!good)
			strlcpy(why, "the request could not be built", RF_REASON_MAX + 1);
	}
	MemoryContextSwitchTo(old);
	return good;
}
