/*-------------------------------------------------------------------------
 *
 * sendgrid_body.c
 *	  The JSON body of a SendGrid mail, and its size.
 *
 * Every step that can fail returns false, and a step that is handed the
 * failure of another (a NULL value) passes it on; so the whole is written as
 * one chain.  Bodies are not copied twice: jansson writes straight into a
 * buffer of the size that was computed before.
 *
 * IDENTIFICATION
 *	  src/provider/sendgrid_body.c
 *
 *-------------------------------------------------------------------------
 */
#include <stdlib.h>
#include <string.h>

#include "codec/address.h"
#include "provider/json.h"
#include "provider/options.h"
#include "provider/sendgrid_body.h"

/* A name is at most 255 bytes once checked. */
#define NAME_BUFFER_SIZE 256

static json_t *make_body(const RfAccountConfig *account, const RfEmail *email);
static bool add_text(json_t *object, const char *name, RfText text);
static json_t *make_address(RfText text, bool recipient);
static json_t *make_address_list(const RfText *list, size_t count);
static json_t *make_personalizations(const RfEmail *email);
static json_t *make_content(const RfEmail *email);
static bool append_content(json_t *content, const char *type, RfText value);
static json_t *make_map(const RfPair *pairs, size_t count);
static json_t *make_custom_args(const RfEmail *email);
static json_t *make_tags(const RfEmail *email);
static bool add_options(json_t *body, RfText options);
static bool set_sandbox(json_t *body);
static bool print_body(json_t *body, size_t expected, RfRequest *request);
static uint64_t text_size(RfText text);
static uint64_t list_size(const RfText *list, size_t count, size_t each);
static uint64_t map_size(const RfPair *pairs, size_t count);

bool
rf_sendgrid_build_body(const RfAccountConfig *account, const RfEmail *email,
					   RfRequest *request)
{
	json_t	   *body = make_body(account, email);
	bool		good;

	good = body != NULL &&
		print_body(body, (size_t) rf_sendgrid_mail_size(email), request);
	json_decref(body);
	return good;
}

/*
 * Punctuation and fixed names are counted generously.  An option's number may
 * be printed longer than it was written (0.1 with 17 digits): eight times the
 * text covers the worst.
 */
uint64_t
rf_sendgrid_mail_size(const RfEmail *email)
{
	const size_t per_address = strlen("{\"email\":\"\",\"name\":\"\"},");
	uint64_t	size = 512;

	size += text_size(email->from_addr) + text_size(email->to_addr) +
		text_size(email->reply_to) + text_size(email->subject) +
		text_size(email->body_text) + text_size(email->body_html) +
		text_size(email->rf_job);
	size += list_size(email->cc, email->ncc, per_address);
	size += list_size(email->bcc, email->nbcc, per_address);
	size += list_size(email->tags, email->ntags, strlen("\"\","));
	size += map_size(email->custom_args, email->ncustom_args);
	size += map_size(email->headers, email->nheaders);
	size += (uint64_t) email->provider_options.len * 8;
	return size;
}

static json_t *
make_body(const RfAccountConfig *account, const RfEmail *email)
{
	json_t	   *body = rf_json_object();
	bool		good;

	/* json_object_set_new() takes NULL for the value's failure. */
	good = json_object_set_new(body, "personalizations",
							   make_personalizations(email)) == 0 &&
		json_object_set_new(body, "from",
							make_address(email->from_addr, false)) == 0 &&
		(email->reply_to.len == 0 ||
		 json_object_set_new(body, "reply_to",
							 make_address(email->reply_to, false)) == 0) &&
		add_text(body, "subject", email->subject) &&
		json_object_set_new(body, "content", make_content(email)) == 0 &&
		(email->nheaders == 0 ||
		 json_object_set_new(body, "headers",
							 make_map(email->headers, email->nheaders)) == 0) &&
		(email->ntags == 0 ||
		 json_object_set_new(body, "categories", make_tags(email)) == 0) &&
		json_object_set_new(body, "custom_args",
							make_custom_args(email)) == 0 &&
		add_options(body, email->provider_options) &&
		(!account->sandbox || set_sandbox(body));
	if (good)
		return body;
	json_decref(body);
	return NULL;
}

static bool
add_text(json_t *object, const char *name, RfText text)
{
	return json_object_set_new(object, name, json_stringn(text.data, text.len)) == 0;
}

/* SendGrid refuses a recipient's name that holds a comma or a semicolon. */
static json_t *
make_address(RfText text, bool recipient)
{
	char		name[NAME_BUFFER_SIZE];
	RfText		email_text;
	RfText		name_text;
	RfAddress	address;
	json_t	   *object;

	if (rf_address_parse(text.data, text.len, &address) != RF_ADDRESS_OK)
		return NULL;
	email_text.data = address.email;
	email_text.len = address.email_len;
	name_text.data = name;
	name_text.len = rf_address_name(&address, name, sizeof(name));
	for (size_t i = 0; recipient && i < name_text.len; i++)
	{
		if (name[i] == ',' || name[i] == ';')
			name[i] = ' ';
	}

	object = rf_json_object();
	if (add_text(object, "email", email_text) &&
		(name_text.len == 0 || add_text(object, "name", name_text)))
		return object;
	json_decref(object);
	return NULL;
}

static json_t *
make_address_list(const RfText *list, size_t count)
{
	json_t	   *array = json_array();

	for (size_t i = 0; i < count; i++)
	{
		if (json_array_append_new(array, make_address(list[i], true)) != 0)
		{
			json_decref(array);
			return NULL;
		}
	}
	return array;
}

static json_t *
make_personalizations(const RfEmail *email)
{
	json_t	   *array = json_array();
	json_t	   *object = rf_json_object();
	bool		good;

	good = json_object_set_new(object, "to",
							   make_address_list(&email->to_addr, 1)) == 0 &&
		(email->ncc == 0 ||
		 json_object_set_new(object, "cc",
							 make_address_list(email->cc, email->ncc)) == 0) &&
		(email->nbcc == 0 ||
		 json_object_set_new(object, "bcc",
							 make_address_list(email->bcc, email->nbcc)) == 0);
	good = json_array_append(array, good ? object : NULL) == 0;
	json_decref(object);
	if (good)
		return array;
	json_decref(array);
	return NULL;
}

/* The order is SendGrid's: plain text first. */
static json_t *
make_content(const RfEmail *email)
{
	json_t	   *content = json_array();

	if (append_content(content, "text/plain", email->body_text) &&
		append_content(content, "text/html", email->body_html))
		return content;
	json_decref(content);
	return NULL;
}

static bool
append_content(json_t *content, const char *type, RfText value)
{
	json_t	   *part;

	if (value.len == 0)
		return true;			/* an empty part is refused */
	part = rf_json_object();
	if (json_object_set_new(part, "type", json_string(type)) == 0 &&
		add_text(part, "value", value))
		return json_array_append_new(content, part) == 0;
	json_decref(part);
	return false;
}

static json_t *
make_map(const RfPair *pairs, size_t count)
{
	json_t	   *map = rf_json_object();

	for (size_t i = 0; i < count; i++)
	{
		if (json_object_setn_new(map, pairs[i].name.data, pairs[i].name.len,
								 json_stringn(pairs[i].value.data != NULL ?
											  pairs[i].value.data : "",
											  pairs[i].value.len)) != 0)
		{
			json_decref(map);
			return NULL;
		}
	}
	return map;
}

static json_t *
make_custom_args(const RfEmail *email)
{
	json_t	   *args = make_map(email->custom_args, email->ncustom_args);

	if (email->rf_job.len == 0 || add_text(args, "rf_job", email->rf_job))
		return args;
	json_decref(args);
	return NULL;
}

static json_t *
make_tags(const RfEmail *email)
{
	json_t	   *tags = json_array();

	for (size_t i = 0; i < email->ntags; i++)
	{
		if (json_array_append_new(tags, json_stringn(email->tags[i].data,
													 email->tags[i].len)) != 0)
		{
			json_decref(tags);
			return NULL;
		}
	}
	return tags;
}

/* The table is looked at again: nothing else may get into the request. */
static bool
add_options(json_t *body, RfText options)
{
	json_t	   *members;
	json_t	   *value;
	const char *name;
	bool		good = true;

	if (options.len == 0)
		return true;
	members = rf_options_load(options, "sendgrid");
	if (members == NULL)
		return false;
	json_object_foreach(members, name, value)
	{
		good = good &&
			rf_provider_find("sendgrid")->takes_option(name) &&
			json_object_set(body, name, value) == 0;
	}
	json_decref(members);
	return good;
}

/* The account's sandbox wins over whatever the mail's options say. */
static bool
set_sandbox(json_t *body)
{
	json_t	   *settings = json_object_get(body, "mail_settings");
	json_t	   *mode = rf_json_object();

	if (settings == NULL)
	{
		settings = rf_json_object();
		if (json_object_set_new(body, "mail_settings", settings) != 0)
			settings = NULL;
	}
	if (json_object_set_new(mode, "enable", json_true()) == 0)
		return json_object_set_new(settings, "sandbox_mode", mode) == 0;
	json_decref(mode);
	return false;
}

static bool
print_body(json_t *body, size_t expected, RfRequest *request)
{
	char	   *data = malloc(expected + 1);
	size_t		len;

	if (data == NULL)
		return false;
	len = json_dumpb(body, data, expected, JSON_COMPACT);
	if (len == 0 || len > expected)
	{
		free(data);
		return false;
	}
	data[len] = '\0';
	request->body = data;
	request->body_len = len;
	return true;
}

static uint64_t
text_size(RfText text)
{
	return rf_text_json_len(text.data, text.len);
}

static uint64_t
list_size(const RfText *list, size_t count, size_t each)
{
	uint64_t	size = 0;

	for (size_t i = 0; i < count; i++)
		size += text_size(list[i]) + each;
	return size;
}

static uint64_t
map_size(const RfPair *pairs, size_t count)
{
	uint64_t	size = 0;

	for (size_t i = 0; i < count; i++)
		size += text_size(pairs[i].name) + text_size(pairs[i].value) +
			strlen("\"\":\"\",");
	return size;
}
