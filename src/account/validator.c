/*-------------------------------------------------------------------------
 *
 * validator.c
 *	  The wrapper's validator: refuses options that make no sense.
 *
 * The validator sees the whole resulting option list and the catalog, nothing
 * else: not the server, not what changed.  It needs no preloaded library and
 * touches no file, so that a restore does not depend on either.  Accounts are
 * foreign servers only; options of the wrapper, user mappings and foreign
 * tables are refused.
 *
 * Error messages never hold an option's value: people paste keys in the wrong
 * place.
 *
 * IDENTIFICATION
 *	  src/account/validator.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/reloptions.h"
#include "catalog/pg_authid.h"
#include "catalog/pg_foreign_data_wrapper.h"
#include "catalog/pg_foreign_server.h"
#include "catalog/pg_user_mapping.h"
#include "commands/defrem.h"
#include "fmgr.h"
#include "lib/stringinfo.h"
#include "miscadmin.h"
#include "utils/acl.h"
#include "utils/formatting.h"
#include "utils/guc.h"

#include "account/base_url.h"
#include "account/option.h"
#include "errors.h"

static void refuse_wrapper_options(const List *options);
static void refuse_inline_keys(const List *options);
static void check_account(const List *options);
static const RfProvider *demand_provider(const List *options);
static void check_option(const RfProvider *provider, DefElem *option);
static void check_right(const char *option_name);
static void check_insecure_base_url(const char *value);
static const char *find_value(const List *options, const char *name);
static bool names_a_key(const char *option_name);
static char *list_options(const RfProvider *provider);
static char *list_providers(void);

PG_FUNCTION_INFO_V1(roleferry_fdw_validator);

/* Raises when an option list does not make sense for its catalog. */
Datum
roleferry_fdw_validator(PG_FUNCTION_ARGS)
{
	List	   *options = untransformRelOptions(PG_GETARG_DATUM(0));
	Oid			catalog = PG_GETARG_OID(1);

	if (catalog == UserMappingRelationId)
		ereport(ERROR,
				(errcode(RF_ERRCODE_BAD_OPTION),
				 errmsg("foreign-data wrapper \"roleferry\" takes no user mappings"),
				 errhint("Keys live in files in the directory \"roleferry.secrets_directory\"; the server's option \"secret\" names the file."),
				 errhidestmt(true)));

	refuse_inline_keys(options);

	if (catalog == ForeignServerRelationId)
		check_account(options);
	else if (catalog == ForeignDataWrapperRelationId)
		refuse_wrapper_options(options);
	else
		ereport(ERROR,
				(errcode(RF_ERRCODE_BAD_OPTION),
				 errmsg("foreign-data wrapper \"roleferry\" takes no foreign tables")));

	PG_RETURN_VOID();
}

static void
refuse_wrapper_options(const List *options)
{
	if (options != NIL)
		ereport(ERROR,
				(errcode(RF_ERRCODE_BAD_OPTION),
				 errmsg("invalid option \"%s\"",
						linitial_node(DefElem, options)->defname),
				 errhint("There are no valid options in this context.")));
}

/*
 * A key given as an option would be in the catalog, in dumps and in the log.
 * The last we can still prevent, as far as it is this error that writes it.
 */
static void
refuse_inline_keys(const List *options)
{
	ListCell   *cell;

	foreach(cell, options)
	{
		DefElem    *option = lfirst_node(DefElem, cell);

		if (names_a_key(option->defname))
			ereport(ERROR,
					(errcode(RF_ERRCODE_BAD_OPTION),
					 errmsg("option \"%s\" is not accepted: keys are not stored in the database",
							option->defname),
					 errhint("Write the key to a file in the directory \"roleferry.secrets_directory\", and name the file in the option \"secret\"."),
					 errhidestmt(true)));
	}
}

static void
check_account(const List *options)
{
	const RfProvider *provider = demand_provider(options);
	ListCell   *cell;

	foreach(cell, options)
		check_option(provider, lfirst_node(DefElem, cell));

	if (provider->needs_domain && find_value(options, "domain") == NULL)
		ereport(ERROR,
				(errcode(RF_ERRCODE_BAD_OPTION),
				 errmsg("option \"domain\" is required for provider \"%s\"",
						provider->name),
				 errhint("It is the domain that mails are sent from, for example mg.example.com.")));
}

/* The provider an option list names; raises when there is none. */
static const RfProvider *
demand_provider(const List *options)
{
	const char *name = find_value(options, "provider");
	const RfProvider *provider;

	if (name == NULL)
		ereport(ERROR,
				(errcode(RF_ERRCODE_BAD_OPTION),
				 errmsg("option \"provider\" is required"),
				 errhint("Valid providers are: %s.", list_providers())));

	provider = rf_provider_find(name);
	if (provider == NULL)
		ereport(ERROR,
				(errcode(RF_ERRCODE_BAD_OPTION_VALUE),
				 errmsg("option \"provider\" %s",
						rf_account_option_problem("provider", name)),
				 errhint("Valid providers are: %s.", list_providers())));
	return provider;
}

static void
check_option(const RfProvider *provider, DefElem *option)
{
	const char *value;
	const char *problem;

	if (!rf_account_option_is_known(provider, option->defname))
		ereport(ERROR,
				(errcode(RF_ERRCODE_BAD_OPTION),
				 errmsg("invalid option \"%s\"", option->defname),
				 errhint("Valid options for provider \"%s\" are: %s.",
						 provider->name, list_options(provider))));

	check_right(option->defname);

	value = defGetString(option);
	problem = rf_account_option_problem(option->defname, value);
	if (problem != NULL)
		ereport(ERROR,
				(errcode(RF_ERRCODE_BAD_OPTION_VALUE),
				 errmsg("option \"%s\" %s", option->defname, problem),
				 errhidestmt(true)));

	if (strcmp(option->defname, "base_url") == 0)
		check_insecure_base_url(value);
}

/*
 * Whoever chooses the file and the host chooses who is sent which file's
 * content, so both take the right to read the server's files.  What an ALTER
 * changes cannot be seen here, and "the pair was there before" cannot either:
 * an unguarded option next to a secret matters as much, because another
 * "provider" sends one provider's key to another.  Hence the plain rule: a
 * list that holds a secret or a base URL is made by privileged roles only,
 * whatever else it changes.  Dropping both is open to the owner and harmless:
 * an account without a secret sends nothing, and the way back is guarded.
 */
static void
check_right(const char *option_name)
{
	if (rf_account_option_is_guarded(option_name) &&
		!has_privs_of_role(GetUserId(), ROLE_PG_READ_SERVER_FILES))
		ereport(ERROR,
				(errcode(RF_ERRCODE_NO_RIGHT),
				 errmsg("permission denied to create or alter an account that has the option \"%s\"",
						option_name),
				 errhint("Only superusers and roles with privileges of \"pg_read_server_files\" maintain accounts that have a secret or a base URL.")));
}

/*
 * Plain http is for tests, and only to hosts that the server's administrator
 * listed.  The setting may not exist here: without preloading nothing is
 * listed.  The engine asks again at each transfer.
 */
static void
check_insecure_base_url(const char *value)
{
	const char *allowed = GetConfigOption("roleferry.allow_insecure_hosts",
										  true, false);
	RfBaseUrl	url;

	if (rf_base_url_parse(value, &url) != NULL || url.https)
		return;
	if (allowed == NULL || !rf_base_url_is_listed(&url, allowed))
		ereport(ERROR,
				(errcode(RF_ERRCODE_BAD_OPTION_VALUE),
				 errmsg("option \"base_url\" must be an https URL"),
				 errhint("Plain http is accepted only for the hosts in \"roleferry.allow_insecure_hosts\".")));
}

static const char *
find_value(const List *options, const char *name)
{
	ListCell   *cell;

	foreach(cell, options)
	{
		DefElem    *option = lfirst_node(DefElem, cell);

		if (strcmp(option->defname, name) == 0)
			return defGetString(option);
	}
	return NULL;
}

/* No option of ours is called so; the words decide which hint is given. */
static bool
names_a_key(const char *option_name)
{
	static const char *const words[] = {
		"key", "password", "passwd", "token", "credential", "bearer", "auth"
	};
	char	   *lower = asc_tolower(option_name, strlen(option_name));

	for (size_t i = 0; i < lengthof(words); i++)
	{
		if (strstr(lower, words[i]) != NULL)
			return true;
	}
	return false;
}

static char *
list_options(const RfProvider *provider)
{
	StringInfoData buf;
	const char *name;

	initStringInfo(&buf);
	for (size_t i = 0; (name = rf_account_option_at(i)) != NULL; i++)
	{
		if (rf_account_option_is_known(provider, name))
			appendStringInfo(&buf, "%s%s", buf.len > 0 ? ", " : "", name);
	}
	return buf.data;
}

static char *
list_providers(void)
{
	StringInfoData buf;
	const RfProvider *provider;

	initStringInfo(&buf);
	for (size_t i = 0; (provider = rf_provider_at(i)) != NULL; i++)
		appendStringInfo(&buf, "%s%s", i > 0 ? ", " : "", provider->name);
	return buf.data;
}
