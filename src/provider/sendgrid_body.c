/*-------------------------------------------------------------------------
 *
 * sendgrid_body.c
 *	  The JSON body of a SendGrid mail, and its size.
 *
 * Written straight into one buffer of the size that was computed before: this
 * runs for every mail.  Whatever fails (memory, text that is not UTF-8, an
 * address that was never checked) marks the buffer as failed, and the end asks.
 * Only provider_options go through jansson; they are rare.
 *
 * IDENTIFICATION
 *	  src/provider/sendgrid_body.c
 *
 *-------------------------------------------------------------------------
 */
#include <stdlib.h>
#include <string.h>

#include "codec/address.h"
#include "codec/json_text.h"
#include "provider/json.h"
#include "provider/options.h"
#include "provider/sendgrid_body.h"

/* A name is at most 255 bytes once checked. */
#define NAME_BUFFER_SIZE 256

/* Bytes that a text takes, without its quotes. */
typedef size_t (TextLen) (const char *data, size_t len);

static void add_mail(RfBuffer *out, const RfAccountConfig *account,
					 const RfEmail *email);
static void add_name(RfBuffer *out, const char *name);
static void add_text(RfBuffer *out, const char *name, RfText text);
static void add_value(RfBuffer *out, RfText text);
static void separate(RfBuffer *out);
static void add_address(RfBuffer *out, RfText text, bool recipient);
static void add_address_list(RfBuffer *out, const char *name,
							 const RfText *list, size_t count);
static void add_personalizations(RfBuffer *out, const RfEmail *email);
static void add_contents(RfBuffer *out, const RfEmail *email);
static void add_content(RfBuffer *out, const char *type, RfText value);
static void add_pairs(RfBuffer *out, const RfPair *pairs, size_t count);
static void add_tags(RfBuffer *out, const RfEmail *email);
static void add_options(RfBuffer *out, const RfAccountConfig *account,
						RfText options);
static json_t *load_options(RfText options, bool sandbox);
static bool set_sandbox(json_t *options);
static uint64_t mail_size(const RfEmail *email, TextLen * text_len);
static size_t longest_text_len(const char *data, size_t len);
static uint64_t list_size(const RfText *list, size_t count, size_t each, TextLen * text_len);
static uint64_t map_size(const RfPair *pairs, size_t count, TextLen * text_len);

bool
rf_sendgrid_build_body(const RfAccountConfig *account, const RfEmail *email,
					   RfRequest *request)
{
	RfBuffer	out = {0};

	rf_buffer_reserve(&out, (size_t) rf_sendgrid_mail_size(email) + 1);
	add_mail(&out, account, email);
	if (out.failed)
	{
		rf_buffer_free(&out);
		return false;
	}
	request->body = out.data;
	request->body_len = out.len;
	return true;
}

uint64_t
rf_sendgrid_mail_size(const RfEmail *email)
{
	return mail_size(email, rf_json_text_len);
}

uint64_t
rf_sendgrid_mail_size_at_most(const RfEmail *email)
{
	return mail_size(email, longest_text_len);
}

/*
 * Punctuation and fixed names are counted generously.  An option's number may
 * be printed longer than it was written (0.1 with 17 digits): eight times the
 * text covers the worst.
 */
static uint64_t
mail_size(const RfEmail *email, TextLen * text_len)
{
	const size_t per_address = strlen("{\"email\":\"\",\"name\":\"\"},");
	const RfText *texts[] = {
		&email->from_addr, &email->to_addr, &email->reply_to, &email->subject,
		&email->body_text, &email->body_html, &email->rf_job, &email->stream
	};
	uint64_t	size = 512;

	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
		size += text_len(texts[i]->data, texts[i]->len);
	size += list_size(email->cc, email->ncc, per_address, text_len);
	size += list_size(email->bcc, email->nbcc, per_address, text_len);
	size += list_size(email->tags, email->ntags, strlen("\"\","), text_len);
	size += map_size(email->custom_args, email->ncustom_args, text_len);
	size += map_size(email->headers, email->nheaders, text_len);
	size += (uint64_t) email->provider_options.len * 8;
	return size;
}

static void
add_mail(RfBuffer *out, const RfAccountConfig *account, const RfEmail *email)
{
	rf_buffer_add_text(out, "{");
	add_personalizations(out, email);
	add_name(out, "from");
	add_address(out, email->from_addr, false);
	if (email->reply_to.len > 0)
	{
		add_name(out, "reply_to");
		add_address(out, email->reply_to, false);
	}
	add_text(out, "subject", email->subject);
	add_contents(out, email);
	if (email->nheaders > 0)
	{
		add_name(out, "headers");
		rf_buffer_add_text(out, "{");
		add_pairs(out, email->headers, email->nheaders);
		rf_buffer_add_text(out, "}");
	}
	add_tags(out, email);
	add_name(out, "custom_args");
	rf_buffer_add_text(out, "{");
	add_pairs(out, email->custom_args, email->ncustom_args);
	if (email->rf_job.len > 0)
		add_text(out, "rf_job", email->rf_job);
	if (email->stream.len > 0)
		add_text(out, "rf_stream", email->stream);
	rf_buffer_add_text(out, "}");
	if (email->provider_options.len > 0 || account->sandbox)
		add_options(out, account, email->provider_options);
	rf_buffer_add_text(out, "}");
}

/* A member's name, of ours: nothing in it needs an escape. */
static void
add_name(RfBuffer *out, const char *name)
{
	separate(out);
	rf_buffer_add_text(out, "\"");
	rf_buffer_add_text(out, name);
	rf_buffer_add_text(out, "\":");
}

static void
add_text(RfBuffer *out, const char *name, RfText text)
{
	add_name(out, name);
	add_value(out, text);
}

static void
add_value(RfBuffer *out, RfText text)
{
	rf_json_text_add(out, text.data, text.len);
}

/* A comma, unless what follows is the first of its list or object. */
static void
separate(RfBuffer *out)
{
	char		last = out->len > 0 ? out->data[out->len - 1] : '{';

	if (last != '{' && last != '[')
		rf_buffer_add_text(out, ",");
}

/* SendGrid refuses a recipient's name that holds a comma or a semicolon. */
static void
add_address(RfBuffer *out, RfText text, bool recipient)
{
	char		name[NAME_BUFFER_SIZE];
	RfText		part;
	RfAddress	address;

	if (rf_address_parse(text.data, text.len, &address) != RF_ADDRESS_OK)
	{
		out->failed = true;
		return;
	}
	rf_buffer_add_text(out, "{");
	part.data = address.email;
	part.len = address.email_len;
	add_text(out, "email", part);

	part.data = name;
	part.len = rf_address_name(&address, name, sizeof(name));
	for (size_t i = 0; recipient && i < part.len; i++)
	{
		if (name[i] == ',' || name[i] == ';')
			name[i] = ' ';
	}
	if (part.len > 0)
		add_text(out, "name", part);
	rf_buffer_add_text(out, "}");
}

static void
add_address_list(RfBuffer *out, const char *name, const RfText *list,
				 size_t count)
{
	if (count == 0)
		return;
	add_name(out, name);
	rf_buffer_add_text(out, "[");
	for (size_t i = 0; i < count; i++)
	{
		separate(out);
		add_address(out, list[i], true);
	}
	rf_buffer_add_text(out, "]");
}

static void
add_personalizations(RfBuffer *out, const RfEmail *email)
{
	add_name(out, "personalizations");
	rf_buffer_add_text(out, "[{");
	add_address_list(out, "to", &email->to_addr, 1);
	add_address_list(out, "cc", email->cc, email->ncc);
	add_address_list(out, "bcc", email->bcc, email->nbcc);
	rf_buffer_add_text(out, "}]");
}

/* The order is SendGrid's: plain text first. */
static void
add_contents(RfBuffer *out, const RfEmail *email)
{
	add_name(out, "content");
	rf_buffer_add_text(out, "[");
	add_content(out, "text/plain", email->body_text);
	add_content(out, "text/html", email->body_html);
	rf_buffer_add_text(out, "]");
}

static void
add_content(RfBuffer *out, const char *type, RfText value)
{
	RfText		type_text;

	if (value.len == 0)
		return;					/* an empty part is refused */
	type_text.data = type;
	type_text.len = strlen(type);
	separate(out);
	rf_buffer_add_text(out, "{");
	add_text(out, "type", type_text);
	add_text(out, "value", value);
	rf_buffer_add_text(out, "}");
}

static void
add_pairs(RfBuffer *out, const RfPair *pairs, size_t count)
{
	for (size_t i = 0; i < count; i++)
	{
		separate(out);
		add_value(out, pairs[i].name);
		rf_buffer_add_text(out, ":");
		add_value(out, pairs[i].value);
	}
}

static void
add_tags(RfBuffer *out, const RfEmail *email)
{
	if (email->ntags == 0)
		return;
	add_name(out, "categories");
	rf_buffer_add_text(out, "[");
	for (size_t i = 0; i < email->ntags; i++)
	{
		separate(out);
		add_value(out, email->tags[i]);
	}
	rf_buffer_add_text(out, "]");
}

/* They come as an object; its members become the mail's. */
static void
add_options(RfBuffer *out, const RfAccountConfig *account, RfText options)
{
	json_t	   *members = load_options(options, account->sandbox);
	char	   *printed = members != NULL ? json_dumps(members, JSON_COMPACT) : NULL;

	if (printed == NULL)
		out->failed = true;
	else if (json_object_size(members) > 0)
	{
		separate(out);
		rf_buffer_add(out, printed + 1, strlen(printed) - 2);
	}
	free(printed);
	json_decref(members);
}

/* The table is looked at again: nothing else may get into the request. */
static json_t *
load_options(RfText options, bool sandbox)
{
	json_t	   *members = options.len > 0 ? rf_options_load(options, "sendgrid") :
		rf_json_object();
	json_t	   *value;
	const char *name;
	bool		good = members != NULL;

	json_object_foreach(members, name, value)
		good = good && rf_provider_find("sendgrid")->takes_option(name);
	if (good && (!sandbox || set_sandbox(members)))
		return members;
	json_decref(members);
	return NULL;
}

/* The account's sandbox wins over whatever the mail's options say. */
static bool
set_sandbox(json_t *options)
{
	json_t	   *settings = json_object_get(options, "mail_settings");
	json_t	   *mode = rf_json_object();

	if (settings == NULL)
	{
		settings = rf_json_object();
		if (json_object_set_new(options, "mail_settings", settings) != 0)
			settings = NULL;
	}
	if (json_object_set_new(mode, "enable", json_true()) == 0)
		return json_object_set_new(settings, "sandbox_mode", mode) == 0;
	json_decref(mode);
	return false;
}

/* Every byte a control character. */
static size_t
longest_text_len(const char *data, size_t len)
{
	(void) data;
	return 6 * len;
}

static uint64_t
list_size(const RfText *list, size_t count, size_t each, TextLen * text_len)
{
	uint64_t	size = 0;

	for (size_t i = 0; i < count; i++)
		size += text_len(list[i].data, list[i].len) + each;
	return size;
}

static uint64_t
map_size(const RfPair *pairs, size_t count, TextLen * text_len)
{
	uint64_t	size = 0;

	for (size_t i = 0; i < count; i++)
		size += text_len(pairs[i].name.data, pairs[i].name.len) +
			text_len(pairs[i].value.data, pairs[i].value.len) + strlen("\"\":\"\",");
	return size;
}
