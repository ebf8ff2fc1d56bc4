/*-------------------------------------------------------------------------
 *
 * email.c
 *	  Everything that can be known to be wrong with a mail before it is sent.
 *
 * A mail that passes can be built by every adapter.  The checks run at
 * enqueue, in the enqueuer's session, so a refusal reaches whoever wrote the
 * mail; at dispatch nobody is there to read it.
 *
 * Problems and hints never quote an address: they end up in logs.
 *
 * IDENTIFICATION
 *	  src/provider/email.c
 *
 *-------------------------------------------------------------------------
 */
#include <stdlib.h>
#include <string.h>

#include "codec/address.h"
#include "provider/email_parts.h"
#include "provider/field_error.h"
#include "provider/options.h"

#include "provider/email.h"

/* No mail program shows more of a name; providers refuse somewhere above. */
#define MAX_NAME_LEN 255

static bool check_address(RfText text, const char *field, const char *two_hint,
						  RfAddress *address, RfFieldError *error);
static bool check_recipients(const RfEmail *email, RfFieldError *error);
static bool check_recipient_list(const RfText *list, size_t count,
								 const char *name, RfAddress *seen,
								 size_t *nseen, RfFieldError *error);
static bool check_subject(const RfEmail *email, RfFieldError *error);
static bool check_bodies(const RfEmail *email, RfFieldError *error);

bool
rf_email_check(const RfEmail *email, RfFieldError *error)
{
	RfAddress	address;

	memset(error, 0, sizeof(*error));
	return check_address(email->from_addr, "from_addr",
						 "A mail has one sender.", &address, error) &&
		check_recipients(email, error) &&
		(email->reply_to.data == NULL ||
		 check_address(email->reply_to, "reply_to",
					   "A mail has one address for replies.",
					   &address, error)) &&
		check_subject(email, error) &&
		check_bodies(email, error) &&
		rf_email_check_custom_args(email, error) &&
		rf_email_check_headers(email, error) &&
		rf_email_check_tags(email, error) &&
		rf_email_check_stream(email, error) &&
		rf_email_check_unsubscribe(email, error) &&
		rf_options_check(email->provider_options, error);
}

static bool
check_address(RfText text, const char *field, const char *two_hint,
			  RfAddress *address, RfFieldError *error)
{
	const char *hint = "";
	RfAddressStatus status = rf_address_parse(text.data, text.len, address);

	switch (status)
	{
		case RF_ADDRESS_OK:
			if (!rf_text_is_utf8(text.data, text.len))
				return rf_field_error_set(error, field, "is not valid UTF-8",
										  "");
			if (address->name_len > MAX_NAME_LEN)
				return rf_field_error_set(error, field,
										  "holds a name that is too long",
										  "At most 255 bytes are taken.");
			return true;
		case RF_ADDRESS_EMPTY:
			break;
		case RF_ADDRESS_CONTROL:
			hint = "Line breaks and tabs are control characters.";
			break;
		case RF_ADDRESS_TWO:
			hint = two_hint;
			break;
		case RF_ADDRESS_TOO_LONG:
			hint = "At most 64 bytes may stand before the @ and 255 after it.";
			break;
		case RF_ADDRESS_NON_ASCII:
			hint = "Write an international domain in its xn-- form.";
			break;
		case RF_ADDRESS_SYNTAX:
			hint = "Write local@domain or \"Name\" <local@domain>; a name with a comma or semicolon needs the quotes.";
			break;
	}
	return rf_field_error_set(error, field, rf_address_status_text(status),
							  hint);
}

static bool
check_recipients(const RfEmail *email, RfFieldError *error)
{
	RfAddress  *seen;
	size_t		nseen = 1;
	bool		good;

	if (email->ncc > RF_RECIPIENTS_MAX || email->nbcc > RF_RECIPIENTS_MAX ||
		email->ncc + email->nbcc >= RF_RECIPIENTS_MAX)
		return rf_field_error_set(error,
								  email->ncc >= RF_RECIPIENTS_MAX ? "cc" : "bcc",
								  "holds too many recipients",
								  "to_addr, cc and bcc together may hold 1000.");

	seen = malloc((1 + email->ncc + email->nbcc) * sizeof(RfAddress));
	if (seen == NULL)
		return rf_field_error_set(error, "to_addr",
								  "could not be checked: out of memory", "");
	good = check_address(email->to_addr, "to_addr",
						 "Put further recipients into cc or bcc, or send one mail each.",
						 &seen[0], error) &&
		check_recipient_list(email->cc, email->ncc, "cc", seen, &nseen,
							 error) &&
		check_recipient_list(email->bcc, email->nbcc, "bcc", seen, &nseen,
							 error);
	free(seen);
	return good;
}

/* SendGrid refuses a mail in which a recipient stands twice. */
static bool
check_recipient_list(const RfText *list, size_t count, const char *name,
					 RfAddress *seen, size_t *nseen, RfFieldError *error)
{
	char		field[RF_FIELD_MAX];

	for (size_t i = 0; i < count; i++)
	{
		RfAddress  *address = &seen[*nseen];

		rf_field_index(field, name, i);
		if (!check_address(list[i], field,
						   "Each recipient is an element of its own.",
						   address, error))
			return false;
		for (size_t j = 0; j < *nseen; j++)
		{
			if (rf_address_equal(address, &seen[j]))
				return rf_field_error_set(error, field,
										  "is a recipient already",
										  "An address may stand once in to_addr, cc and bcc.");
		}
		(*nseen)++;
	}
	return true;
}

static bool
check_subject(const RfEmail *email, RfFieldError *error)
{
	if (!rf_field_check_text(email->subject, false, "subject", error))
		return false;
	if (rf_field_is_blank(email->subject))
		return rf_field_error_set(error, "subject", "is empty", "");
	if (email->subject.len > RF_SUBJECT_MAX_BYTES)
		return rf_field_error_set(error, "subject", "is too long",
								  "At most 998 bytes are taken.");
	return true;
}

/* One of the two is enough; providers refuse a mail without any content. */
static bool
check_bodies(const RfEmail *email, RfFieldError *error)
{
	if (!rf_field_check_text(email->body_html, true, "body_html", error) ||
		!rf_field_check_text(email->body_text, true, "body_text", error))
		return false;
	if (email->body_html.len > 0 || email->body_text.len > 0)
		return true;
	if (email->body_html.data == NULL && email->body_text.data != NULL)
		return rf_field_error_set(error, "body_text", "is empty",
								  "Give body_html, body_text or both.");
	return rf_field_error_set(error, "body_html", "is empty",
							  "Give body_html, body_text or both.");
}
