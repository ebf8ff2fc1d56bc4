/*-------------------------------------------------------------------------
 *
 * outcome.h
 *	  What became of one transfer, and what to do with its job now.
 *
 * The outcome is provider-neutral: adapters and the transport classify, this
 * module decides.  The one rule everything else follows from: a mail goes to
 * another account, or out again, only when it is proven that it was not taken
 * (unless the job's delivery is at_least_once).
 *
 * Pure logic: no PostgreSQL headers, no allocation, no clock.
 *
 *-------------------------------------------------------------------------
 */
#ifndef ROLEFERRY_OUTCOME_H
#define ROLEFERRY_OUTCOME_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef enum RfOutcomeClass
{
	RF_OUTCOME_OK,				/* taken */
	RF_OUTCOME_MISS,			/* valid answer, nothing found */
	RF_OUTCOME_PENDING,			/* ask again later */
	RF_OUTCOME_THROTTLE,		/* refused for now: too many */
	RF_OUTCOME_TRANSIENT,		/* no effect, worth repeating: never
								 * connected, ... */
	RF_OUTCOME_AMBIGUOUS,		/* may have had its effect */
	RF_OUTCOME_QUOTA,			/* refused: no credit left */
	RF_OUTCOME_CREDENTIAL,		/* refused: the key */
	RF_OUTCOME_CONFIG,			/* refused: scope, sender, region, domain,
								 * path */
	RF_OUTCOME_PERMANENT,		/* refused: this request is bad and stays bad */
	RF_OUTCOME_MALFORMED		/* 2xx that is not the provider's answer */
} RfOutcomeClass;

/* Did the provider take it?  The only thing failover and re-sending look at. */
typedef enum RfTaken
{
	RF_TAKEN_NO,				/* proven not */
	RF_TAKEN_YES,
	RF_TAKEN_PERHAPS
} RfTaken;

#define RF_MESSAGE_ID_MAX	255
#define RF_REASON_MAX		255

typedef struct RfOutcome
{
	RfOutcomeClass class;
	RfTaken		taken;
	bool		account_wide;	/* the account's trouble, not this request's:
								 * the next request would meet the same */
	int			http_status;	/* 0: none */
	int64_t		retry_after_s;	/* what the provider asked for; -1: nothing */
	char		message_id[RF_MESSAGE_ID_MAX + 1];	/* normalised: as events
													 * join on it */
	char		raw_message_id[RF_MESSAGE_ID_MAX + 1];	/* as given */
	char		reason[RF_REASON_MAX + 1];	/* one line, valid UTF-8, no
											 * control characters, no secret,
											 * no address */
} RfOutcome;

typedef enum RfDelivery
{
	RF_AT_MOST_ONCE,
	RF_AT_LEAST_ONCE
} RfDelivery;

typedef enum RfAction
{
	RF_ACTION_SENT,				/* settle as sent */
	RF_ACTION_NEXT_ACCOUNT,		/* try the job's next account now */
	RF_ACTION_RETRY,			/* wait, then try again from the first account */
	RF_ACTION_UNKNOWN,			/* settle as unknown */
	RF_ACTION_FAIL				/* settle as failed */
} RfAction;

/* What the decision needs to know of the job. */
typedef struct RfJobFacts
{
	RfDelivery	delivery;
	bool		more_accounts;	/* another account of the job is open now */
	bool		waits_for_events;	/* after an ambiguous attempt it is not
									 * sent again before events had their time */
	int			failures;		/* charged so far, this one not counted */
	int			max_attempts;	/* of charged failures */
} RfJobFacts;

typedef struct RfDecision
{
	RfAction	action;
	bool		charge;			/* counts against max_attempts */
} RfDecision;

extern RfDecision rf_outcome_decide(const RfOutcome *outcome,
									const RfJobFacts *job);

/* Clears *outcome and sets the class, with the `taken` that goes with it. */
extern void rf_outcome_init(RfOutcome *outcome, RfOutcomeClass class,
							int http_status);

/* Sets reason: copied, made valid UTF-8 and one line, cut at a character. */
extern void rf_outcome_set_reason(RfOutcome *outcome, const char *text,
								  size_t len);

/* Counts against the account's breaker?  Transport trouble and 5xx do, 4xx never. */
extern bool rf_outcome_is_breaker_failure(const RfOutcome *outcome);

/* Stable lower-case word: "ok", "throttle", ... */
extern const char *rf_outcome_class_text(RfOutcomeClass class);

#endif							/* ROLEFERRY_OUTCOME_H */
