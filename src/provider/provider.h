/*-------------------------------------------------------------------------
 *
 * provider.h
 *	  The registry of adapters, and what an adapter is.
 *
 * An adapter is pure: it turns an account and what is to be done into a
 * request, and a response into an outcome.  Adding a provider is one file and
 * a line each in adapters.h and registry.c.
 *
 * What a provider can do comes in groups: e-mail, people, verification.  Of a
 * group that it has not, every member is NULL (sends_email is false).
 *
 *-------------------------------------------------------------------------
 */
#ifndef ROLEFERRY_PROVIDER_H
#define ROLEFERRY_PROVIDER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "codec/request.h"
#include "core/outcome.h"
#include "provider/email.h"

/* An account as its adapter sees it.  Strings belong to the caller. */
typedef struct RfAccountConfig
{
	const char *base_url;		/* scheme://host[:port], no trailing slash; or
								 * NULL: the default */
	const char *region;			/* "us", "eu" or NULL (us) */
	const char *domain;			/* Mailgun's sending domain, or NULL */
	const char *secret;			/* API key, NUL-terminated, no CR or LF */
	bool		sandbox;		/* ask the provider to take it but send
								 * nothing */
	const char *dialect;		/* "current", "legacy" or NULL (current) */
} RfAccountConfig;

/* What an account may be asked for where nobody says otherwise. */
typedef struct RfDefaultLimit
{
	const char *endpoint;		/* "": everything */
	uint32_t	max_requests;
	uint32_t	per_s;			/* at most a day */
} RfDefaultLimit;

#define RF_DEFAULT_LIMITS_MAX	4

typedef struct RfProvider
{
	const char *name;			/* value of the server option "provider" */
	bool		sends_email;
	bool		has_test_flag;	/* it takes mails that it does not send */
	bool		needs_domain;	/* the option "domain" is required */
	bool		has_legacy_dialect; /* the option "dialect" is taken */
	const char *base_url_us;
	const char *base_url_eu;	/* NULL: no EU host */

	/* As documented; ends with one of no requests.  NULL: none. */
	const RfDefaultLimit *default_limits;

	/* Other groups: see people.h and verify.h. */
	const struct RfPeopleCalls *people;
	const struct RfVerifyCalls *verify;

	/* The rest is e-mail. */
	uint64_t	max_mail_bytes; /* as rf_provider_mail_size() counts */

	/* False, request empty: out of memory or an address that was not checked. */
	bool		(*build_email) (const RfAccountConfig *account,
								const RfEmail *email, RfRequest *request);

	/* now_s: wall clock, for dates in headers. */
	void		(*read_email_response) (const RfResponse *response,
										int64_t now_s, RfOutcome *outcome);

	/* Bytes this mail takes at this provider, without building it. */
	uint64_t	(*mail_size) (const RfEmail *email);

	/*
	 * Is that within max_mail_bytes?  Asked for each mail, so it may cost
	 * less.
	 */
	bool		(*mail_fits) (const RfEmail *email);

	/* Is this a member of provider_options the adapter takes? */
	bool		(*takes_option) (const char *name);

	/* The table behind takes_option, with each value's kind: see options.h. */
	const struct RfOption *options;
} RfProvider;

extern const RfProvider *rf_provider_find(const char *name);	/* NULL: none */
extern const RfProvider *rf_provider_at(size_t index);	/* NULL: past the end */
extern const char *rf_provider_base_url(const RfProvider *provider,
										const RfAccountConfig *account);

#endif							/* ROLEFERRY_PROVIDER_H */
