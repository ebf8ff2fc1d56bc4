/*-------------------------------------------------------------------------
 *
 * account.c
 *	  The list of accounts, kept by every process for itself.
 *
 * The list lives in its own memory context and is built again at the first
 * question after an invalidation.  An invalidation can come at any moment,
 * also while a caller walks the list: the callback only counts, and memory is
 * freed by the next question alone.
 *
 * A server whose options do not make sense here (a provider of a newer
 * version, options set while there was no validator) is not an account; it is
 * left out and nothing is raised.
 *
 * IDENTIFICATION
 *	  src/account/account.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/table.h"
#include "access/xact.h"
#include "catalog/pg_foreign_server.h"
#include "commands/defrem.h"
#include "foreign/foreign.h"
#include "utils/fmgroids.h"
#include "utils/inval.h"
#include "utils/memutils.h"
#include "utils/rel.h"
#include "utils/syscache.h"

#include "account/option.h"
#include "compat.h"
#include "account/account.h"

#define WRAPPER_NAME "roleferry"

/* Options that are copied as they are. */
typedef struct TextOption
{
	const char *name;
	size_t		offset;			/* of a char * in RfAccount */
} TextOption;

static const TextOption text_options[] = {
	{"base_url", offsetof(RfAccount, base_url)},
	{"region", offsetof(RfAccount, region)},
	{"domain", offsetof(RfAccount, domain)},
	{"dialect", offsetof(RfAccount, dialect)},
	{"secret", offsetof(RfAccount, secret_name)},
	{"quota_group", offsetof(RfAccount, quota_group)}
};

static List *accounts = NIL;
static MemoryContext accounts_context = NULL;	/* NULL: never built */
static uint64 accounts_seen = 0;	/* invalidations when it was built */
static uint64 invalidations = 0;
static uint64 generation = 0;

static void watch_catalogs(void);
static void count_invalidation(Datum arg, int cacheid, uint32 hashvalue);
static void rebuild_list(void);
static List *read_accounts(void);
static RfAccount *read_account(Oid serverid);
static bool read_options(RfAccount *account, const List *options);
static void take_option(RfAccount *account, const char *name,
						const char *value);
static void strip_trailing_slash(char *url);
static int	compare_names(const ListCell *a, const ListCell *b);

List *
rf_account_list(void)
{
	Assert(IsTransactionState());

	watch_catalogs();
	if (accounts_context == NULL || accounts_seen != invalidations)
		rebuild_list();
	return accounts;
}

bool
rf_account_shares(const RfAccount *account, const RfAccount *other)
{
	if (account->serverid == other->serverid)
		return true;
	return account->provider == other->provider && account->quota_group != NULL &&
		other->quota_group != NULL && strcmp(account->quota_group, other->quota_group) == 0;
}

RfAccount *
rf_account_by_name(const char *name)
{
	ListCell   *cell;

	foreach(cell, rf_account_list())
	{
		RfAccount  *account = lfirst(cell);

		if (strcmp(account->name, name) == 0)
			return account;
	}
	return NULL;
}

uint64
rf_account_generation(void)
{
	return generation;
}

bool
rf_account_usable(const RfAccount *account, Oid roleid)
{
	/* The check of rights raises for a server that is gone. */
	if (!SearchSysCacheExists1(FOREIGNSERVEROID,
							   ObjectIdGetDatum(account->serverid)))
		return false;
	return rf_server_aclcheck(account->serverid, roleid,
							  ACL_USAGE) == ACLCHECK_OK;
}

/* Once a process: callbacks cannot be taken back. */
static void
watch_catalogs(void)
{
	static bool watching = false;

	if (watching)
		return;
	CacheRegisterSyscacheCallback(FOREIGNSERVEROID, count_invalidation,
								  (Datum) 0);
	CacheRegisterSyscacheCallback(FOREIGNDATAWRAPPEROID, count_invalidation,
								  (Datum) 0);
	watching = true;
}

static void
count_invalidation(Datum arg, int cacheid, uint32 hashvalue)
{
	invalidations++;
}

/*
 * Builds first and replaces then: after an error the old list is still there
 * and still stale.  So is a list that was invalidated while it was built.
 */
static void
rebuild_list(void)
{
	uint64		seen = invalidations;
	MemoryContext new_context;
	MemoryContext old_context;
	List	   *new_accounts;

	new_context = AllocSetContextCreate(CurrentMemoryContext,
										"roleferry accounts",
										ALLOCSET_SMALL_SIZES);
	old_context = MemoryContextSwitchTo(new_context);
	new_accounts = read_accounts();
	list_sort(new_accounts, compare_names);
	MemoryContextSwitchTo(old_context);

	MemoryContextSetParent(new_context, TopMemoryContext);
	if (accounts_context != NULL)
		MemoryContextDelete(accounts_context);
	accounts_context = new_context;
	accounts = new_accounts;
	accounts_seen = seen;
	generation++;
}

static List *
read_accounts(void)
{
	Oid			wrapperid = get_foreign_data_wrapper_oid(WRAPPER_NAME, true);
	List	   *found = NIL;
	Relation	catalog;
	SysScanDesc scan;
	ScanKeyData key;
	HeapTuple	tuple;

	if (!OidIsValid(wrapperid))
		return NIL;

	/* No index leads from a wrapper to its servers; the catalog is small. */
	ScanKeyInit(&key, Anum_pg_foreign_server_srvfdw, BTEqualStrategyNumber,
				F_OIDEQ, ObjectIdGetDatum(wrapperid));
	catalog = table_open(ForeignServerRelationId, AccessShareLock);
	scan = systable_beginscan(catalog, InvalidOid, false, NULL, 1, &key);
	while (HeapTupleIsValid(tuple = systable_getnext(scan)))
	{
		Form_pg_foreign_server server;
		RfAccount  *account;

		server = (Form_pg_foreign_server) GETSTRUCT(tuple);
		account = read_account(server->oid);
		if (account != NULL)
			found = lappend(found, account);
	}
	systable_endscan(scan);
	table_close(catalog, AccessShareLock);
	return found;
}

/* NULL: dropped meanwhile, or not an account. */
static RfAccount *
read_account(Oid serverid)
{
	ForeignServer *server = GetForeignServerExtended(serverid, FSV_MISSING_OK);
	RfAccount  *account;

	if (server == NULL)
		return NULL;

	account = palloc0(sizeof(RfAccount));
	account->serverid = serverid;
	account->name = server->servername;
	return read_options(account, server->options) ? account : NULL;
}

static bool
read_options(RfAccount *account, const List *options)
{
	ListCell   *cell;

	/* The provider first: it decides which options there are. */
	foreach(cell, options)
	{
		DefElem    *option = lfirst_node(DefElem, cell);

		if (strcmp(option->defname, "provider") == 0 && option->arg != NULL)
			account->provider = rf_provider_find(defGetString(option));
	}
	if (account->provider == NULL)
		return false;

	foreach(cell, options)
	{
		DefElem    *option = lfirst_node(DefElem, cell);
		const char *value;

		if (option->arg == NULL ||
			!rf_account_option_is_known(account->provider, option->defname))
			return false;
		value = defGetString(option);
		if (rf_account_option_problem(option->defname, value) != NULL)
			return false;
		take_option(account, option->defname, value);
	}
	return account->domain != NULL || !account->provider->needs_domain;
}

static void
take_option(RfAccount *account, const char *name, const char *value)
{
	if (strcmp(name, "max_in_flight") == 0)
		account->max_in_flight = atoi(value);
	if (strcmp(name, "cost_per_call") == 0)
		account->cost_per_call = atoi(value);

	for (size_t i = 0; i < lengthof(text_options); i++)
	{
		if (strcmp(name, text_options[i].name) == 0)
			*(char **) ((char *) account + text_options[i].offset) =
				pstrdup(value);
	}

	if (strcmp(name, "base_url") == 0)
		strip_trailing_slash(account->base_url);
}

/* Adapters append paths that start with one. */
static void
strip_trailing_slash(char *url)
{
	size_t		len = strlen(url);

	if (len > 0 && url[len - 1] == '/')
		url[len - 1] = '\0';
}

static int
compare_names(const ListCell *a, const ListCell *b)
{
	return strcmp(((const RfAccount *) lfirst(a))->name,
				  ((const RfAccount *) lfirst(b))->name);
}
