/*-------------------------------------------------------------------------
 *
 * email.h
 *	  One e-mail as every adapter understands it, and its checks.
 *
 * All text is UTF-8 and belongs to the caller.  An unset field has data NULL.
 *
 *-------------------------------------------------------------------------
 */
#ifndef ROLEFERRY_EMAIL_H
#define ROLEFERRY_EMAIL_H

#include <stdbool.h>
#include <stddef.h>

#include "codec/text.h"

#define RF_CUSTOM_ARGS_MAX_BYTES	10000	/* SendGrid: total under this, rf_job included */
#define RF_RF_JOB_MAX_BYTES			64		/* reserved for our own rf_job inside it */
#define RF_HEADERS_MAX_BYTES		8192	/* of names and values together */
#define RF_TAGS_MAX					10		/* SendGrid categories, Mailgun tags */
#define RF_TAG_MAX_BYTES			128		/* Mailgun's limit; SendGrid has 255 */
#define RF_RECIPIENTS_MAX			1000	/* to + cc + bcc */
#define RF_SUBJECT_MAX_BYTES		998		/* RFC 5322 line */

typedef struct RfPair
{
	RfText		name;
	RfText		value;
} RfPair;

typedef struct RfEmail
{
	RfText		from_addr;
	RfText		to_addr;
	RfText		reply_to;
	RfText		subject;
	RfText		body_html;
	RfText		body_text;
	RfText	   *cc;
	size_t		ncc;
	RfText	   *bcc;
	size_t		nbcc;
	RfPair	   *custom_args;
	size_t		ncustom_args;
	RfPair	   *headers;
	size_t		nheaders;
	RfText	   *tags;
	size_t		ntags;
	RfText		provider_options;	/* JSON text: {"sendgrid": {...}, "mailgun": {...}} */
	RfText		rf_job;			/* "<installation>.<job id>"; set by the
								 * dispatcher, never checked */
} RfEmail;

#define RF_FIELD_MAX	64
#define RF_PROBLEM_MAX	255

/* What is wrong, and where: message and hint never quote an address. */
typedef struct RfFieldError
{
	char		field[RF_FIELD_MAX];	/* "to_addr", "cc[2]", "headers" */
	char		problem[RF_PROBLEM_MAX];	/* "holds a control character" */
	char		hint[RF_PROBLEM_MAX];	/* may be empty */
} RfFieldError;

/*
 * Everything that can be known of the mail itself: addresses, empty fields,
 * controls, UTF-8, custom_args (size, reserved names), headers (names,
 * reserved ones, controls), tags, provider_options (an object; keys are known
 * providers; each member an option that adapter takes).  Sizes against a
 * provider: rf_provider_mail_size().
 */
extern bool rf_email_check(const RfEmail *email, RfFieldError *error);

#endif							/* ROLEFERRY_EMAIL_H */
