/*-------------------------------------------------------------------------
 *
 * mail.h
 *	  A mail to test with, and literals as spans.
 *
 *-------------------------------------------------------------------------
 */
#ifndef ROLEFERRY_TEST_MAIL_H
#define ROLEFERRY_TEST_MAIL_H

#include <string.h>

#include "provider/email.h"

__attribute__((unused))
static RfText
span(const char *text)
{
	RfText		result;

	result.data = text;
	result.len = text != NULL ? strlen(text) : 0;
	return result;
}

__attribute__((unused))
static RfPair
pair(const char *name, const char *value)
{
	RfPair		result;

	result.name = span(name);
	result.value = span(value);
	return result;
}

/* The least that is a mail. */
__attribute__((unused))
static RfEmail
plain_mail(void)
{
	RfEmail		email;

	memset(&email, 0, sizeof(email));
	email.from_addr = span("Ann <ann@example.com>");
	email.to_addr = span("bob@example.org");
	email.subject = span("Hello");
	email.body_html = span("<p>Hello</p>");
	return email;
}

#endif							/* ROLEFERRY_TEST_MAIL_H */
