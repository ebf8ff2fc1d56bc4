/*-------------------------------------------------------------------------
 *
 * option.c
 *	  Which options an account may have, and what values they may take.
 *
 * One table: a new option is a line here and a member of RfAccount.
 *
 * IDENTIFICATION
 *	  src/account/option.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "account/base_url.h"
#include "account/secret.h"
#include "account/option.h"

#define MAX_DOMAIN_BYTES	253
#define MAX_LABEL_BYTES		63
#define MAX_IN_FLIGHT_LIMIT 10000
#define MAX_COST			10000

/* Whose accounts take the option? */
typedef enum OptionScope
{
	FOR_ALL,
	WITH_REGIONS,				/* providers with an EU host */
	WITH_DOMAIN,				/* providers that send by domain */
	WITH_DIALECTS				/* providers that once spoke otherwise */
} OptionScope;

typedef struct OptionRule
{
	const char *name;
	OptionScope scope;
	bool		guarded;		/* needs the rights of pg_read_server_files */
	const char *(*problem) (const char *value);
} OptionRule;

static const char *provider_problem(const char *value);
static const char *secret_problem(const char *value);
static const char *base_url_problem(const char *value);
static const char *region_problem(const char *value);
static const char *domain_problem(const char *value);
static const char *dialect_problem(const char *value);
static const char *max_in_flight_problem(const char *value);
static const char *quota_group_problem(const char *value);
static const char *cost_per_call_problem(const char *value);

static const OptionRule rules[] = {
	{"provider", FOR_ALL, false, provider_problem},
	{"secret", FOR_ALL, true, secret_problem},
	{"base_url", FOR_ALL, true, base_url_problem},
	{"region", WITH_REGIONS, false, region_problem},
	{"domain", WITH_DOMAIN, false, domain_problem},
	{"dialect", WITH_DIALECTS, false, dialect_problem},
	{"max_in_flight", FOR_ALL, false, max_in_flight_problem},
	{"quota_group", FOR_ALL, false, quota_group_problem},
	{"cost_per_call", FOR_ALL, false, cost_per_call_problem}
};

static const OptionRule *find_rule(const char *name);
static bool provider_takes(const RfProvider *provider, const OptionRule *rule);
static bool looks_like_key(const char *value);
static bool is_ascii_alnum(char c);

const char *
rf_account_option_at(size_t index)
{
	return index < lengthof(rules) ? rules[index].name : NULL;
}

bool
rf_account_option_is_known(const RfProvider *provider, const char *name)
{
	const OptionRule *rule = find_rule(name);

	return rule != NULL && provider_takes(provider, rule);
}

bool
rf_account_option_is_guarded(const char *name)
{
	const OptionRule *rule = find_rule(name);

	return rule != NULL && rule->guarded;
}

const char *
rf_account_option_problem(const char *name, const char *value)
{
	const OptionRule *rule = find_rule(name);

	return rule == NULL ? "is not known" : rule->problem(value);
}

static const OptionRule *
find_rule(const char *name)
{
	for (size_t i = 0; i < lengthof(rules); i++)
	{
		if (strcmp(rules[i].name, name) == 0)
			return &rules[i];
	}
	return NULL;
}

static bool
provider_takes(const RfProvider *provider, const OptionRule *rule)
{
	switch (rule->scope)
	{
		case FOR_ALL:
			return true;
		case WITH_REGIONS:
			return provider->base_url_eu != NULL;
		case WITH_DOMAIN:
			return provider->needs_domain;
		case WITH_DIALECTS:
			return provider->has_legacy_dialect;
	}
	return false;				/* keep compiler quiet */
}

static const char *
provider_problem(const char *value)
{
	return rf_provider_find(value) == NULL ? "must be a known provider" : NULL;
}

static const char *
secret_problem(const char *value)
{
	if (looks_like_key(value))
		return "must be the name of the file that holds the key, not the key";
	if (!rf_secret_name_is_valid(value))
		return "must be a file name of up to 63 letters, digits, \"_\", \"-\" and \".\", not starting with a dot";
	return NULL;
}

static const char *
base_url_problem(const char *value)
{
	RfBaseUrl	url;

	return rf_base_url_parse(value, &url);
}

static const char *
region_problem(const char *value)
{
	if (strcmp(value, "us") == 0 || strcmp(value, "eu") == 0)
		return NULL;
	return "must be \"us\" or \"eu\"";
}

/* The domain becomes a segment of a URL's path: labels and dots, no more. */
static const char *
domain_problem(const char *value)
{
	static const char *const problem =
		"must be a domain name of letters, digits, dots and hyphens";
	size_t		label_len = 0;

	if (strlen(value) > MAX_DOMAIN_BYTES)
		return problem;

	for (const char *c = value; *c != '\0'; c++)
	{
		if (*c == '.')
		{
			if (label_len == 0 || c[-1] == '-')
				return problem;
			label_len = 0;
			continue;
		}
		if (!is_ascii_alnum(*c) && (*c != '-' || label_len == 0))
			return problem;
		if (++label_len > MAX_LABEL_BYTES)
			return problem;
	}
	if (label_len == 0 || value[strlen(value) - 1] == '-')
		return problem;
	return NULL;
}

static const char *
dialect_problem(const char *value)
{
	if (strcmp(value, "current") == 0 || strcmp(value, "legacy") == 0)
		return NULL;
	return "must be \"current\" or \"legacy\"";
}

static const char *
max_in_flight_problem(const char *value)
{
	size_t		digits = strspn(value, "0123456789");

	if (digits == 0 || digits > 5 || value[digits] != '\0' ||
		atoi(value) < 1 || atoi(value) > MAX_IN_FLIGHT_LIMIT)
		return "must be an integer from 1 to 10000";
	return NULL;
}

static const char *
quota_group_problem(const char *value)
{
	static const char *const problem =
		"must be an identifier of letters, digits and underscores, not starting with a digit";

	if (value[0] == '\0' || (value[0] >= '0' && value[0] <= '9') ||
		strlen(value) >= NAMEDATALEN)
		return problem;
	for (const char *c = value; *c != '\0'; c++)
	{
		if (!is_ascii_alnum(*c) && *c != '_')
			return problem;
	}
	return NULL;
}

static const char *
cost_per_call_problem(const char *value)
{
	size_t		digits = strspn(value, "0123456789");

	if (digits == 0 || digits > 5 || value[digits] != '\0' || atoi(value) > MAX_COST)
		return "must be an integer from 0 to 10000";
	return NULL;
}

/*
 * Keys of SendGrid, Mailgun (old and new), NeverBounce and Hunter: prefixes,
 * or long hexadecimal.  Apollo's are any letters and digits.
 */
static bool
looks_like_key(const char *value)
{
	static const char *const prefixes[] = {"key-", "private_", "secret_"};

	if (strncmp(value, "SG.", 3) == 0)
		return true;
	for (size_t i = 0; i < lengthof(prefixes); i++)
	{
		if (strncmp(value, prefixes[i], strlen(prefixes[i])) == 0)
		{
			value += strlen(prefixes[i]);
			break;
		}
	}
	return strspn(value, "0123456789abcdefABCDEF") >= 32;
}

/* Whatever the locale. */
static bool
is_ascii_alnum(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
		(c >= '0' && c <= '9');
}
