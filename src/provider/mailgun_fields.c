/*-------------------------------------------------------------------------
 *
 * mailgun_fields.c
 *	  The form fields of a Mailgun message, and their size.
 *
 * Addresses are not passed on as they were written but put together anew from
 * their parts, the name always quoted: what Mailgun reads is then one address
 * for certain.
 *
 * Variables (v:) come back in events, but Mailgun also shows them, and the
 * tags, to the recipient in headers of its own unless it is told not to.
 *
 * IDENTIFICATION
 *	  src/provider/mailgun_fields.c
 *
 *-------------------------------------------------------------------------
 */
#include <stdio.h>
#include <string.h>

#include "codec/address.h"
#include "codec/text.h"
#include "provider/json.h"
#include "provider/options.h"
#include "provider/mailgun_fields.h"

/* X-Mailgun-Sid has to stay: complaints are matched by it. */
#define HIDDEN_HEADERS "X-Mailgun-Variables,X-Mailgun-Tag"

/* A name is at most 255 bytes once checked. */
#define NAME_BUFFER_SIZE 256

static bool add_text(RfRequest *request, const char *name, RfText value);
static bool add_address(RfRequest *request, const char *name, RfText text);
static bool add_address_list(RfRequest *request, const char *name,
							 const RfText *list, size_t count);
static bool add_prefixed(RfRequest *request, const char *prefix,
						 const RfPair *pairs, size_t count);
static bool add_bodies(RfRequest *request, const RfEmail *email);
static bool add_variables(RfRequest *request, const RfEmail *email);
static bool add_options(RfRequest *request, RfText options);
static bool add_option(RfRequest *request, const char *name, json_t *value);
static uint64_t list_size(const RfText *list, size_t count, size_t each);
static uint64_t map_size(const RfPair *pairs, size_t count);

bool
rf_mailgun_add_fields(const RfAccountConfig *account, const RfEmail *email,
					  RfRequest *request)
{
	RfText		yes = {"yes", 3};
	RfText		hidden = {HIDDEN_HEADERS, sizeof(HIDDEN_HEADERS) - 1};
	bool		good;

	good = add_address(request, "from", email->from_addr) &&
		add_address(request, "to", email->to_addr) &&
		add_address_list(request, "cc", email->cc, email->ncc) &&
		add_address_list(request, "bcc", email->bcc, email->nbcc) &&
		add_text(request, "subject", email->subject) &&
		add_bodies(request, email) &&
		(email->reply_to.len == 0 ||
		 add_address(request, "h:Reply-To", email->reply_to)) &&
		add_prefixed(request, "h:", email->headers, email->nheaders);
	for (size_t i = 0; good && i < email->ntags; i++)
		good = add_text(request, "o:tag", email->tags[i]);
	return good &&
		add_variables(request, email) &&
		add_text(request, "o:suppress-headers", hidden) &&
		(!account->sandbox || add_text(request, "o:testmode", yes)) &&
		add_options(request, email->provider_options);
}

uint64_t
rf_mailgun_mail_size(const RfEmail *email)
{
	uint64_t	size;
	uint64_t	extra;

	/* Fixed names, the hidden headers, test mode: 128 bytes hold them. */
	extra = 128 + (uint64_t) email->reply_to.len + email->rf_job.len +
		email->stream.len +
		list_size(email->tags, email->ntags, strlen("o:tag")) +
		map_size(email->custom_args, email->ncustom_args) +
		map_size(email->headers, email->nheaders) +
		email->provider_options.len;
	size = 64 + (uint64_t) email->from_addr.len + email->to_addr.len +
		email->subject.len + email->body_text.len + email->body_html.len +
		list_size(email->cc, email->ncc, strlen("cc\"\"")) +
		list_size(email->bcc, email->nbcc, strlen("bcc\"\""));
	if (extra > RF_MAILGUN_MAX_EXTRA_BYTES)
		size += RF_MAILGUN_MAX_MAIL_BYTES;
	return size + extra;
}

static bool
add_text(RfRequest *request, const char *name, RfText value)
{
	return rf_request_add_field(request, name, value.data, value.len);
}

static bool
add_address(RfRequest *request, const char *name, RfText text)
{
	char		display[NAME_BUFFER_SIZE];
	RfBuffer	value = {0};
	RfAddress	address;
	size_t		len;
	bool		good;

	if (rf_address_parse(text.data, text.len, &address) != RF_ADDRESS_OK)
		return false;
	len = rf_address_name(&address, display, sizeof(display));
	if (len > 0)
	{
		rf_buffer_add_text(&value, "\"");
		for (size_t i = 0; i < len; i++)
		{
			if (display[i] == '"' || display[i] == '\\')
				rf_buffer_add_text(&value, "\\");
			rf_buffer_add(&value, &display[i], 1);
		}
		rf_buffer_add_text(&value, "\" <");
	}
	rf_buffer_add(&value, address.email, address.email_len);
	if (len > 0)
		rf_buffer_add_text(&value, ">");
	good = !value.failed &&
		rf_request_add_field(request, name, value.data, value.len);
	rf_buffer_free(&value);
	return good;
}

static bool
add_address_list(RfRequest *request, const char *name, const RfText *list,
				 size_t count)
{
	for (size_t i = 0; i < count; i++)
	{
		if (!add_address(request, name, list[i]))
			return false;
	}
	return true;
}

static bool
add_prefixed(RfRequest *request, const char *prefix, const RfPair *pairs,
			 size_t count)
{
	bool		good = true;

	for (size_t i = 0; good && i < count; i++)
	{
		RfBuffer	name = {0};

		rf_buffer_add_text(&name, prefix);
		rf_buffer_add(&name, pairs[i].name.data, pairs[i].name.len);
		good = !name.failed && add_text(request, name.data, pairs[i].value);
		rf_buffer_free(&name);
	}
	return good;
}

static bool
add_bodies(RfRequest *request, const RfEmail *email)
{
	return (email->body_text.len == 0 ||
			add_text(request, "text", email->body_text)) &&
		(email->body_html.len == 0 ||
		 add_text(request, "html", email->body_html));
}

static bool
add_variables(RfRequest *request, const RfEmail *email)
{
	return add_prefixed(request, "v:", email->custom_args,
						email->ncustom_args) &&
		(email->rf_job.len == 0 ||
		 add_text(request, "v:rf_job", email->rf_job)) &&
		(email->stream.len == 0 ||
		 add_text(request, "v:rf_stream", email->stream));
}

/* The table is looked at again: nothing else may get into the request. */
static bool
add_options(RfRequest *request, RfText options)
{
	json_t	   *members;
	json_t	   *value;
	const char *name;
	bool		good = true;

	if (options.len == 0)
		return true;
	members = rf_options_load(options, "mailgun");
	if (members == NULL)
		return false;
	json_object_foreach(members, name, value)
	{
		good = good &&
			rf_provider_find("mailgun")->takes_option(name) &&
			add_option(request, name, value);
	}
	json_decref(members);
	return good;
}

static bool
add_option(RfRequest *request, const char *name, json_t *value)
{
	RfText		text = {"no", 2};

	if (json_is_true(value))
	{
		text.data = "yes";
		text.len = 3;
	}
	else if (json_is_string(value))
	{
		text.data = json_string_value(value);
		text.len = json_string_length(value);
	}
	else if (!json_is_false(value))
		return false;
	return add_text(request, name, text);
}

static uint64_t
list_size(const RfText *list, size_t count, size_t each)
{
	uint64_t	size = 0;

	for (size_t i = 0; i < count; i++)
		size += list[i].len + each;
	return size;
}

static uint64_t
map_size(const RfPair *pairs, size_t count)
{
	uint64_t	size = 0;

	for (size_t i = 0; i < count; i++)
		size += pairs[i].name.len + pairs[i].value.len + strlen("h:");
	return size;
}
