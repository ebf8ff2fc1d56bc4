/*-------------------------------------------------------------------------
 *
 * options.c
 *	  Checking and reading provider_options.
 *
 * IDENTIFICATION
 *	  src/provider/options.c
 *
 *-------------------------------------------------------------------------
 */
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "provider/field_error.h"
#include "provider/provider.h"

#include "provider/options.h"

#define FIELD "provider_options"

static bool check_provider(const char *name, json_t *members,
						   RfFieldError *error);
static bool check_value(const RfOption *option, json_t *value, RfText shown,
						RfFieldError *error);
static void list_providers(char *buf, size_t size);
static void list_options(const RfOption *table, char *buf, size_t size);
static void append_word(char *buf, size_t size, const char *word);

const RfOption *
rf_option_find(const RfOption *table, const char *name)
{
	for (; table->name != NULL; table++)
	{
		if (strcmp(table->name, name) == 0)
			return table;
	}
	return NULL;
}

bool
rf_options_check(RfText options, RfFieldError *error)
{
	json_t	   *root;
	const char *name;
	json_t	   *members;
	bool		good = true;

	if (options.len == 0)
		return true;
	if (options.len > RF_PROVIDER_OPTIONS_MAX_BYTES)
		return rf_field_error_set(error, FIELD, "is too large",
								  "At most 16384 bytes are taken.");
	root = json_loadb(options.data, options.len, JSON_REJECT_DUPLICATES, NULL);
	if (!json_is_object(root))
	{
		json_decref(root);
		return rf_field_error_set(error, FIELD, "is not a JSON object",
								  "Example: {\"sendgrid\": {\"ip_pool_name\": \"cold\"}}");
	}
	json_object_foreach(root, name, members)
	{
		good = check_provider(name, members, error);
		if (!good)
			break;
	}
	json_decref(root);
	return good;
}

json_t *
rf_options_load(RfText options, const char *provider)
{
	json_t	   *root;
	json_t	   *members;

	if (options.len == 0)
		return rf_json_object();
	root = json_loadb(options.data, options.len, JSON_REJECT_DUPLICATES, NULL);
	if (!json_is_object(root))
	{
		json_decref(root);
		return NULL;
	}
	members = json_object_get(root, provider);
	if (members == NULL)
		members = rf_json_object();
	else
		members = json_is_object(members) ? json_incref(members) : NULL;
	json_decref(root);
	return members;
}

static bool
check_provider(const char *name, json_t *members, RfFieldError *error)
{
	const RfProvider *provider = rf_provider_find(name);
	char		hint[RF_PROBLEM_MAX] = "";
	const char *option_name;
	json_t	   *value;

	if (provider == NULL || !provider->sends_email)
	{
		list_providers(hint, sizeof(hint));
		return rf_field_error_name(error, FIELD, "names an unknown provider",
								   rf_text_of(name), hint);
	}
	if (!json_is_object(members))
		return rf_field_error_name(error, FIELD,
								   "does not hold an object for provider",
								   rf_text_of(name), "");
	json_object_foreach(members, option_name, value)
	{
		const RfOption *option = rf_option_find(provider->options, option_name);

		if (option == NULL)
		{
			list_options(provider->options, hint, sizeof(hint));
			return rf_field_error_name(error, FIELD, "holds the unknown option",
									   rf_text_of(option_name), hint);
		}
		if (!check_value(option, value, rf_text_of(option_name), error))
			return false;
	}
	return true;
}

static bool
check_value(const RfOption *option, json_t *value, RfText shown,
			RfFieldError *error)
{
	const char *problem = "holds a value of the wrong kind for option";
	const char *text = json_string_value(value);

	switch (option->kind)
	{
		case RF_OPTION_FLAG:
			if (json_is_boolean(value) ||
				(text != NULL &&
				 (strcmp(text, "yes") == 0 || strcmp(text, "no") == 0)))
				return true;
			return rf_field_error_name(error, FIELD, problem, shown,
									   "Give true, false, \"yes\" or \"no\".");
		case RF_OPTION_TEXT:
			if (text != NULL && text[0] != '\0' &&
				!rf_text_has_control(text, json_string_length(value)))
				return true;
			return rf_field_error_name(error, FIELD, problem, shown,
									   "Give a string that is not empty and holds no control character.");
		case RF_OPTION_INTEGER:
			if (json_is_integer(value))
				return true;
			return rf_field_error_name(error, FIELD, problem, shown,
									   "Give a whole number.");
		case RF_OPTION_OBJECT:
			if (json_is_object(value))
				return true;
			return rf_field_error_name(error, FIELD, problem, shown,
									   "Give an object.");
	}
	return false;				/* keep compiler quiet */
}

static void
list_providers(char *buf, size_t size)
{
	const RfProvider *provider;

	snprintf(buf, size, "Providers:");
	for (size_t i = 0; (provider = rf_provider_at(i)) != NULL; i++)
	{
		if (provider->sends_email)
			append_word(buf, size, provider->name);
	}
}

static void
list_options(const RfOption *table, char *buf, size_t size)
{
	snprintf(buf, size, "Options:");
	for (; table->name != NULL; table++)
		append_word(buf, size, table->name);
}

/* Words that do not fit are left out. */
static void
append_word(char *buf, size_t size, const char *word)
{
	size_t		used = strlen(buf);

	if (used + strlen(word) + 3 > size)
		return;
	snprintf(buf + used, size - used, "%s %s",
			 buf[used - 1] == ':' ? "" : ",", word);
}
