/*-------------------------------------------------------------------------
 *
 * verify.h
 *	  Asking whether e-mail addresses exist.
 *
 * The vocabulary of every provider that verifies addresses, and its calls.  Text
 * that goes in belongs to the caller; what comes out is malloc'd and owned by its
 * struct.
 *
 * The way of a list: rf_verify_address() says which addresses are sent at all,
 * rf_verify_chunk() how many of them one job takes.  Then build_create(), status
 * until it is complete (parse or start where the state asks for it), and all
 * pages of results.  A create whose answer was lost is looked for by its file
 * name, which must be unique, before another is paid for.
 *
 * Fail closed: no verdict without an answer that says success, and no "valid"
 * but for the provider's own word.
 *
 *-------------------------------------------------------------------------
 */
#ifndef ROLEFERRY_VERIFY_H
#define ROLEFERRY_VERIFY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "codec/address.h"
#include "codec/request.h"
#include "codec/text.h"
#include "core/outcome.h"

#define RF_VERIFY_ADDRESS_MAX	320
#define RF_VERIFY_JOB_ID_MAX	20
#define RF_VERIFY_FILENAME_MAX	100

typedef enum RfVerdict
{
	RF_VERDICT_UNKNOWN,			/* nobody can tell, or a word we do not know */
	RF_VERDICT_VALID,
	RF_VERDICT_INVALID,			/* disposable ones too */
	RF_VERDICT_RISKY			/* the domain takes everything */
} RfVerdict;

/* Members that are not known are NULL. */
typedef struct RfVerification
{
	char	   *email;			/* as it was sent */
	RfVerdict	verdict;
	char	   *raw;			/* the provider's word */
	char	  **flags;
	size_t		nflags;
	char	   *suggestion;		/* "did you mean", or NULL */
} RfVerification;

typedef struct RfVerifyPage
{
	RfVerification *rows;		/* rows without an address are left out */
	size_t		nrows;
	int64_t		total_rows;		/* of all pages; -1: not said */
	int64_t		total_pages;	/* -1: not said */
} RfVerifyPage;

typedef enum RfVerifyState
{
	RF_VERIFY_UNDER_WAY,		/* uploading, parsing, queued, running, or a
								 * word we do not know */
	RF_VERIFY_UNDER_REVIEW,		/* a human at the provider looks at it */
	RF_VERIFY_NOT_STARTED,		/* parsed, and waits for build_start() */
	RF_VERIFY_COMPLETE,
	RF_VERIFY_FAILED,			/* see the outcome's reason */
	RF_VERIFY_DELETED
} RfVerifyState;

typedef struct RfVerifyJob
{
	char		id[RF_VERIFY_JOB_ID_MAX + 1];	/* digits; "": none */
	RfVerifyState state;
	int64_t		records;		/* -1: not said */
	int64_t		processed;
	int64_t		billable;		/* what it cost, once complete */
} RfVerifyJob;

/* What is left, in credits; -1: not said, which is not 0 (metered billing). */
typedef struct RfVerifyBalance
{
	int64_t		paid;
	int64_t		free;
} RfVerifyBalance;

struct RfAccountConfig;

/*
 * What a provider of verdicts can do.  build_...: false, request empty: out of
 * memory, or something that was not checked.  read_...: *result is always set
 * and to be freed where it owns anything.
 *
 * Effectful are create, parse, start and check: a lost answer is ambiguous.
 * The others change nothing, so that a transfer of theirs that the HTTP engine
 * calls ambiguous may be tried again.
 */
typedef struct RfVerifyCalls
{
	size_t		max_items;		/* of one job */
	size_t		max_bytes;		/* of one job's request */
	int			max_jobs_at_once;

	/* Made, parsed and started in one call.  ok: job->id is set. */
	bool		(*build_create) (const struct RfAccountConfig *account,
								 const RfText *emails, size_t count,
								 const char *filename, RfRequest *request);
	void		(*read_create) (const RfResponse *response, int64_t now_s,
								RfVerifyJob *job, RfOutcome *outcome);

	/* Is there a job of that file name?  miss: no, so it was never made. */
	bool		(*build_find) (const struct RfAccountConfig *account,
							   const char *filename, RfRequest *request);
	void		(*read_find) (const RfResponse *response, int64_t now_s,
							  const char *filename, RfVerifyJob *job,
							  RfOutcome *outcome);

	/* For a job that did not start by itself. */
	bool		(*build_parse) (const struct RfAccountConfig *account,
								const char *job_id, RfRequest *request);
	bool		(*build_start) (const struct RfAccountConfig *account,
								const char *job_id, RfRequest *request);
	void		(*read_started) (const RfResponse *response, int64_t now_s,
								 RfOutcome *outcome);

	/* ok: complete; pending: job->state says what it does; permanent: over. */
	bool		(*build_status) (const struct RfAccountConfig *account,
								 const char *job_id, RfRequest *request);
	void		(*read_status) (const RfResponse *response, int64_t now_s,
								RfVerifyJob *job, RfOutcome *outcome);

	/* Pages count from 1. */
	bool		(*build_results) (const struct RfAccountConfig *account,
								  const char *job_id, int page,
								  RfRequest *request);
	void		(*read_results) (const RfResponse *response, int64_t now_s,
								 RfVerifyPage *page, RfOutcome *outcome);

	/*
	 * One address, answered at once.  timeout_s: the provider's, for its
	 * part.
	 */
	bool		(*build_check) (const struct RfAccountConfig *account,
								RfText email, int timeout_s,
								RfRequest *request);
	void		(*read_check) (const RfResponse *response, int64_t now_s,
							   RfText email, RfVerification *result,
							   RfOutcome *outcome);

	bool		(*build_balance) (const struct RfAccountConfig *account,
								  RfRequest *request);
	void		(*read_balance) (const RfResponse *response, int64_t now_s,
								 RfVerifyBalance *balance, RfOutcome *outcome);
} RfVerifyCalls;

/*
 * The address as the provider sees it: in lower case, without the white space
 * around it; equal ones are asked for once.  Anything but RF_ADDRESS_OK is
 * never sent, and folded is empty; a name beside the address is a matter of
 * syntax.  RF_ADDRESS_NON_ASCII may be an address all the same, only none that
 * providers take: unknown rather than invalid.
 */
extern RfAddressStatus rf_verify_address(RfText text,
										 char folded[RF_VERIFY_ADDRESS_MAX + 1]);

/* How many of these, from the first on, go into one job: at least one. */
extern size_t rf_verify_chunk(const RfVerifyCalls *calls, const RfText *emails,
							  size_t count);

/* Bytes an address takes in a job's request. */
extern size_t rf_verify_item_size(RfText email);

/* The word of the SQL interface: "valid", "invalid", "risky", "unknown". */
extern const char *rf_verdict_text(RfVerdict verdict);

/* Free the contents, not the struct. */
extern void rf_verification_free(RfVerification *verification);
extern void rf_verify_page_free(RfVerifyPage *page);

#endif							/* ROLEFERRY_VERIFY_H */
