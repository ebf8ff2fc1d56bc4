/*-------------------------------------------------------------------------
 *
 * found.c
 *	  What a search found, kept in its job's args until everybody is paid for.
 *
 *	"rf_found": {"position", "provider", "credits", "at", "people": [...]}
 *
 * position is that of the account who found them in the job's list, credits what
 * enriching them may cost in all (negative: nobody is to be enriched), at when
 * the search ended; all are texts.  Who has come into the cache of people since
 * then counts as paid for by this job: it may have been another's, and then less
 * is spent than was allowed.
 *
 * IDENTIFICATION
 *	  src/outbox/found.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "mb/pg_wchar.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"

#include "outbox/enrich_args.h"
#include "outbox/found.h"
#include "outbox/people_cache.h"
#include "outbox/person_cache.h"
#include "outbox/search_args.h"
#include "outbox/statement.h"
#include "provider/people_json.h"

/* rf_found, taken apart. */
typedef struct Found
{
	char	   *provider;
	int64		credits;
	TimestampTz at;
	RfPerson   *people;			/* malloc'd, each to be freed, and the array */
	size_t		npeople;
} Found;

static JsonbValue *get_found(const RfClaimedJob *job);
static char *get_text(JsonbContainer *found, const char *name);
static bool read_found(const RfClaimedJob *job, Found *found);
static void free_found(Found *found);
static bool is_known(const RfClaimedJob *job, const RfKeptPerson *kept);
static int	gather(const Found *found, const char **ids, int *places);
static Jsonb *make_rows(const RfPerson *people, size_t npeople, const char *provider);

bool
rf_found_exists(const RfClaimedJob *job)
{
	return strcmp(job->task, RF_SEARCH_TASK) == 0 && get_found(job) != NULL;
}

int
rf_found_position(const RfClaimedJob *job)
{
	char	   *position = get_text(get_found(job)->val.binary.data, "position");

	return position != NULL ? atoi(position) & (RF_FOUND_POSITIONS - 1) : 0;
}

void
rf_found_write(int64 incarnation, int64 job_id, const char *json)
{
	static RfStatement write = {
		"UPDATE roleferry.outbox AS o SET args = o.args || pg_catalog.jsonb_build_object('" RF_FOUND_MEMBER "', $3)"
		" WHERE o.id = $1 AND o.worker = $2",
		3, {INT8OID, INT8OID, JSONBOID}, NULL
	};
	Datum		values[3];

	values[0] = Int64GetDatum(job_id);
	values[1] = Int64GetDatum(incarnation);
	values[2] = JsonbPGetDatum(rf_people_cache_jsonb(json));
	(void) rf_statement_run(&write, values, NULL);
}

int
rf_found_items(const RfClaimedJob *job, const char ***ids)
{
	MemoryContext context = CurrentMemoryContext;
	RfKeptPerson *kept;
	Found		found;
	int64		left;
	int			count;
	int			nids = 0;

	if (!read_found(job, &found))
		return 0;
	*ids = MemoryContextAllocHuge(CurrentMemoryContext, (found.npeople + 1) * sizeof(char *));
	count = gather(&found, *ids, NULL);
	kept = MemoryContextAllocHuge(CurrentMemoryContext, (count + 1) * sizeof(RfKeptPerson));
	left = found.credits;
	if (count > 0 && left > 0)
		rf_person_cache_find(found.provider, *ids, count, false, kept);
	MemoryContextSwitchTo(context); /* out of SPI's */
	for (int i = 0; i < count && found.credits > 0; i++)
	{
		if (kept[i].found && kept[i].fetched_at >= found.at)
			left--;
	}
	for (int i = 0; i < count && left > nids; i++)
	{
		if (is_known(job, &kept[i]))
			continue;
		(*ids)[nids++] = pstrdup((*ids)[i]);
	}
	free_found(&found);
	return nids;
}

Jsonb *
rf_found_result(const RfClaimedJob *job)
{
	RfKeptPerson *kept;
	const char **ids;
	int		   *places;
	RfPerson   *rows;
	RfPerson  **known;
	size_t	   *nknown;
	Found		found;
	Jsonb	   *result;
	int			count;

	if (!read_found(job, &found))
		return NULL;
	ids = MemoryContextAllocHuge(CurrentMemoryContext, (found.npeople + 1) * sizeof(char *));
	places = MemoryContextAllocHuge(CurrentMemoryContext, (found.npeople + 1) * sizeof(int));
	count = gather(&found, ids, places);
	kept = MemoryContextAllocHuge(CurrentMemoryContext, (count + 1) * sizeof(RfKeptPerson));
	known = MemoryContextAllocHuge(CurrentMemoryContext, (count + 1) * sizeof(RfPerson *));
	nknown = MemoryContextAllocHuge(CurrentMemoryContext, (count + 1) * sizeof(size_t));
	rows = MemoryContextAllocHuge(CurrentMemoryContext, (found.npeople + 1) * sizeof(RfPerson));
	if (found.credits < 0)
		count = 0;
	if (count > 0)
		rf_person_cache_find(found.provider, ids, count, false, kept);

	memcpy(rows, found.people, found.npeople * sizeof(RfPerson));
	for (int i = 0; i < count; i++)
	{
		known[i] = NULL;
		nknown[i] = 0;
		if (is_known(job, &kept[i]) &&
			rf_people_get_json(kept[i].json, strlen(kept[i].json), &known[i], &nknown[i]) &&
			nknown[i] == 1)
			rf_person_overlay(&rows[places[i]], &known[i][0]);
	}
	result = make_rows(rows, found.npeople, found.provider);
	for (int i = 0; i < count; i++)
	{
		for (size_t n = 0; n < nknown[i]; n++)
			rf_person_free(&known[i][n]);
		free(known[i]);
	}
	free_found(&found);
	return result;
}

/* NULL: there is none. */
static JsonbValue *
get_found(const RfClaimedJob *job)
{
	JsonbValue *value = JB_ROOT_IS_OBJECT(job->args) ?
		getKeyJsonValueFromContainer(&job->args->root, RF_FOUND_MEMBER, strlen(RF_FOUND_MEMBER), NULL) : NULL;

	if (value == NULL || value->type != jbvBinary || !JsonContainerIsObject(value->val.binary.data))
		return NULL;
	return value;
}

static char *
get_text(JsonbContainer *found, const char *name)
{
	JsonbValue *value = getKeyJsonValueFromContainer(found, name, strlen(name), NULL);

	if (value == NULL || value->type != jbvString)
		return NULL;
	return pnstrdup(value->val.string.val, value->val.string.len);
}

/* Only the dispatcher writes it; a table's owner could. */
static bool
read_found(const RfClaimedJob *job, Found *found)
{
	JsonbContainer *container = get_found(job)->val.binary.data;
	JsonbValue *people = getKeyJsonValueFromContainer(container, "people", strlen("people"), NULL);
	char	   *credits = get_text(container, "credits");
	char	   *at = get_text(container, "at");
	Jsonb	   *list;
	char	   *json;

	memset(found, 0, sizeof(*found));
	found->provider = get_text(container, "provider");
	if (people == NULL || people->type != jbvBinary || credits == NULL || at == NULL || found->provider == NULL)
		return false;
	found->credits = strtoll(credits, NULL, 10);
	found->at = strtoll(at, NULL, 10);
	list = JsonbValueToJsonb(people);
	json = JsonbToCString(NULL, &list->root, VARSIZE(list));
	json = pg_server_to_any(json, strlen(json), PG_UTF8);
	return rf_people_get_json(json, strlen(json), &found->people, &found->npeople);
}

static void
free_found(Found *found)
{
	for (size_t i = 0; i < found->npeople; i++)
		rf_person_free(&found->people[i]);
	free(found->people);
}

/* So that he is not paid for again. */
static bool
is_known(const RfClaimedJob *job, const RfKeptPerson *kept)
{
	return kept->found && (kept->fetched_at >= job->created_at ||
						   GetCurrentTimestamp() - kept->fetched_at < rf_person_cache_keeps_us());
}

/* Who lacks an address and can be asked for; the ids are theirs. */
static int
gather(const Found *found, const char **ids, int *places)
{
	int			count = 0;

	for (size_t i = 0; i < found->npeople; i++)
	{
		const RfPerson *person = &found->people[i];

		if (person->email != NULL || person->id == NULL || !rf_enrich_takes_id(person->id))
			continue;
		if (places != NULL)
			places[count] = (int) i;
		ids[count++] = person->id;
	}
	return count;
}

static Jsonb *
make_rows(const RfPerson *people, size_t npeople, const char *provider)
{
	static RfStatement rows = {
		"SELECT coalesce(pg_catalog.jsonb_agg((e.person - 'id') ||"
		" pg_catalog.jsonb_build_object('person_id', e.person -> 'id', 'source', $2) ORDER BY e.n), '[]'::pg_catalog.jsonb)"
		" FROM pg_catalog.jsonb_array_elements($1) WITH ORDINALITY AS e (person, n)",
		2, {JSONBOID, TEXTOID}, NULL
	};
	RfBuffer	json = {0};
	Datum		values[2];
	bool		isnull;

	rf_people_put_json(&json, people, npeople);
	if (json.failed)
	{
		rf_buffer_free(&json);
		ereport(ERROR, (errcode(ERRCODE_OUT_OF_MEMORY), errmsg("could not write people as JSON")));
	}
	values[0] = JsonbPGetDatum(rf_people_cache_jsonb(json.data));
	rf_buffer_free(&json);
	values[1] = CStringGetTextDatum(provider);
	if (rf_statement_run(&rows, values, NULL) != 1)
		return NULL;
	return DatumGetJsonbPCopy(SPI_getbinval(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 1, &isnull));
}
