/*-------------------------------------------------------------------------
 *
 * people_seen.c
 *	  Who was found already by a search.
 *
 * IDENTIFICATION
 *	  src/outbox/people_seen.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "outbox/people_seen.h"

static bool add(RfSeen *seen, const char *id);

bool
rf_seen_is_new(RfSeen *seen, const RfPerson *person, MemoryContext context)
{
	if (person->id == NULL || strlen(person->id) >= RF_SEEN_ID_MAX)
		return true;
	if (!seen->any)
	{
		/* Many ask for one person: making a table costs more than a row. */
		seen->any = true;
		strlcpy(seen->first, person->id, sizeof(seen->first));
		return true;
	}
	if (seen->ids == NULL)
	{
		HASHCTL		control = {0};

		control.keysize = RF_SEEN_ID_MAX;
		control.entrysize = RF_SEEN_ID_MAX;
		control.hcxt = context;
		seen->ids = hash_create("people seen", 128, &control, HASH_ELEM | HASH_STRINGS | HASH_CONTEXT);
		(void) add(seen, seen->first);
	}
	return add(seen, person->id);
}

void
rf_seen_clear(RfSeen *seen)
{
	if (seen->ids != NULL)
		hash_destroy(seen->ids);
	memset(seen, 0, sizeof(*seen));
}

/* False: it was there already. */
static bool
add(RfSeen *seen, const char *id)
{
	char		key[RF_SEEN_ID_MAX] = {0};
	bool		found = false;

	strlcpy(key, id, sizeof(key));
	(void) hash_search(seen->ids, key, HASH_ENTER, &found);
	return !found;
}
