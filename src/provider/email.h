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

/* SendGrid wants less than this in total; our own rf_job has its part of it. */
#define RF_CUSTOM_ARGS_MAX_BYTES	10000
#define RF_RF_JOB_MAX_BYTES			64

/* Names and values together. */
#define RF_HEADERS_MAX_BYTES		8192

/* SendGrid's categories are Mailgun's tags; the length is Mailgun's limit. */
#define RF_TAGS_MAX					10
#define RF_TAG_MAX_BYTES			128

/* to, cc and bcc together. */
#define RF_RECIPIENTS_MAX			1000

/* The name of a stream of mails. */
#define RF_STREAM_MAX_BYTES			64

/* A line of RFC 5322. */
#define RF_SUBJECT_MAX_BYTES		998

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
	RfText		provider_options;	/* JSON text: {"sendgrid": {...},
									 * "mailgun": {...}} */
	bool		unsubscribe;	/* it is to have a link for leaving its stream */
	RfText		stream;			/* what unsubscribing is about; or unset */
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
