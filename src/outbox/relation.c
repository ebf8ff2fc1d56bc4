/*-------------------------------------------------------------------------
 *
 * relation.c
 *	  The extension's relations by name, found once.
 *
 * Two look-ups of the catalog caches for each name and mail are a twentieth of
 * what enqueueing costs.  What is known is forgotten as soon as the caches hear
 * of a change of any relation's or schema's name: at this process's next
 * command, when the change is rolled back, and with the next transaction or
 * lock where somebody else made it, which is when the caches themselves know.
 *
 * IDENTIFICATION
 *	  src/outbox/relation.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/namespace.h"
#include "utils/inval.h"
#include "utils/lsyscache.h"
#include "utils/syscache.h"

#include "errors.h"
#include "outbox/relation.h"

static const char *const names[RF_RELATIONS] = {
	"outbox",
	"outbox_id_seq",
	"outbox_order_key_idx",
	"suppression",
	"suppression_key"
};

static Oid	known[RF_RELATIONS];
static uint64 changes = 0;

static void watch(void);
static void forget(Datum arg, int cacheid, uint32 hashvalue);

Oid
rf_relation_find(RfRelation which)
{
	uint64		seen;
	Oid			schema;
	Oid			found;

	if (OidIsValid(known[which]))
		return known[which];
	watch();
	seen = changes;
	schema = get_namespace_oid("roleferry", true);
	found = OidIsValid(schema) ? get_relname_relid(names[which], schema) : InvalidOid;
	if (seen == changes)
		known[which] = found;
	return found;
}

Oid
rf_relation_oid(RfRelation which)
{
	Oid			found = rf_relation_find(which);

	if (!OidIsValid(found))
		ereport(ERROR,
				(errcode(RF_ERRCODE_NOT_READY),
				 errmsg("the relation roleferry.%s does not exist", names[which]),
				 errhint("The extension is of another version than the library: ALTER EXTENSION roleferry UPDATE.")));
	return found;
}

/* Once a process: callbacks cannot be taken back. */
static void
watch(void)
{
	static bool watching = false;

	if (watching)
		return;
	CacheRegisterSyscacheCallback(RELNAMENSP, forget, (Datum) 0);
	CacheRegisterSyscacheCallback(NAMESPACENAME, forget, (Datum) 0);
	watching = true;
}

static void
forget(Datum arg, int cacheid, uint32 hashvalue)
{
	changes++;
	memset(known, 0, sizeof(known));
}
