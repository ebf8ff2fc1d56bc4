/*-------------------------------------------------------------------------
 *
 * signature.c
 *	  What a webhook's sender claims: which bytes it signed, when, and how.
 *
 * The readers of the schemes are in schemes.c.
 *
 * IDENTIFICATION
 *	  src/webhook/signature.c
 *
 *-------------------------------------------------------------------------
 */
#include <string.h>

#include "webhook/schemes.h"
#include "webhook/signature.h"

#define FUTURE_MAX_US		INT64_C(300000000)

static const struct
{
	const char *name;
	int64_t		tolerance_s;
}			schemes[RF_SCHEMES] =

{
	/* In the order of RfScheme.  SendGrid retries for a day, Mailgun 8 hours. */
	{"none", 300},
	{"stripe", 300},
	{"sendgrid", 25 * 3600},
	{"mailgun", 9 * 3600},
	{"standard", 300}
};

/* In the order of RfSignHeader. */
static const RfText header_names[RF_SIGN_HEADERS] = {
	{"stripe-signature", 16},
	{"x-twilio-email-event-webhook-signature", 38},
	{"x-twilio-email-event-webhook-timestamp", 38},
	{"svix-id", 7},
	{"svix-timestamp", 14},
	{"svix-signature", 14},
	{"webhook-id", 10},
	{"webhook-timestamp", 17},
	{"webhook-signature", 17},
	{"x-roleferry-token", 17},
	{"authorization", 13}
};

bool
rf_scheme_parse(const char *name, size_t len, RfScheme *scheme)
{
	for (int i = 0; i < RF_SCHEMES; i++)
	{
		if (strlen(schemes[i].name) != len || memcmp(schemes[i].name, name, len) != 0)
			continue;
		*scheme = (RfScheme) i;
		return true;
	}
	return false;
}

const char *
rf_scheme_text(RfScheme scheme)
{
	return schemes[scheme].name;
}

int64_t
rf_scheme_tolerance_s(RfScheme scheme)
{
	return schemes[scheme].tolerance_s;
}

void
rf_sign_headers_add(RfSignHeaders *headers, RfText name, RfText value)
{
	for (int i = 0; i < RF_SIGN_HEADERS; i++)
	{
		if (header_names[i].len != name.len ||
			!rf_text_same_nocase(header_names[i].data, name.data, name.len))
			continue;
		headers->repeated[i] = headers->values[i].data != NULL;
		headers->values[i] = value;
		if (value.data == NULL)
			headers->values[i].data = "";
		return;
	}
}

RfSignStatus
rf_signed_read(RfScheme scheme, const RfSignHeaders *headers, RfText body,
			   RfSigned *what)
{
	RfText		none = {"", 0};

	what->scheme = scheme;
	what->at_s = -1;
	what->id = none;
	what->secret = none;
	what->nparts = 0;
	what->nsignatures = 0;
	switch (scheme)
	{
		case RF_SCHEME_NONE:
			return rf_scheme_read_none(headers, what);
		case RF_SCHEME_STRIPE:
			return rf_scheme_read_stripe(headers, body, what);
		case RF_SCHEME_SENDGRID:
			return rf_scheme_read_sendgrid(headers, body, what);
		case RF_SCHEME_MAILGUN:
			return rf_scheme_read_mailgun(body, what);
		case RF_SCHEME_STANDARD:
			return rf_scheme_read_standard(headers, body, what);
	}
	return RF_SIGN_MALFORMED;	/* keep compiler quiet */
}

RfSignStatus
rf_signed_in_time(const RfSigned *what, int64_t now_us, int64_t tolerance_us)
{
	int64_t		age_us;

	if (what->at_s < 0)
		return RF_SIGN_OK;
	age_us = now_us - what->at_s * INT64_C(1000000);
	if (age_us > tolerance_us)
		return RF_SIGN_STALE;
	if (-age_us > (tolerance_us < FUTURE_MAX_US ? tolerance_us : FUTURE_MAX_US))
		return RF_SIGN_FUTURE;
	return RF_SIGN_OK;
}

const char *
rf_sign_status_text(RfSignStatus status)
{
	switch (status)
	{
		case RF_SIGN_OK:
			return "the signature is good";
		case RF_SIGN_MISSING:
			return "there is no signature";
		case RF_SIGN_MALFORMED:
			return "the signature is malformed";
		case RF_SIGN_TOO_MANY:
			return "there are too many signatures";
		case RF_SIGN_STALE:
			return "the signature is too old";
		case RF_SIGN_FUTURE:
			return "the signature is from the future";
		case RF_SIGN_NO_KEY:
			return "no secret of the source can be used";
		case RF_SIGN_MISMATCH:
			return "no secret of the source made the signature";
	}
	return "";					/* keep compiler quiet */
}
