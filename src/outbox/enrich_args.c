/*-------------------------------------------------------------------------
 *
 * enrich_args.c
 *	  An enrich_people job's args (jsonb): {"ids": [...], "account"}.
 *
 * IDENTIFICATION
 *	  src/outbox/enrich_args.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "mb/pg_wchar.h"

#include "outbox/enrich_args.h"
#include "provider/people.h"

static bool read_member(const char *name, const JsonbValue *value, RfEnrichArgs *out,
						RfFieldError *error);
static bool read_ids(const JsonbValue *value, RfEnrichArgs *out, RfFieldError *error);
static void push(JsonbParseState **state, JsonbIteratorToken token, const char *string);

bool
rf_enrich_args_read(Jsonb *args, RfEnrichArgs *out, RfFieldError *error)
{
	JsonbIterator *it;
	JsonbValue	key;
	JsonbValue	value;

	memset(out, 0, sizeof(*out));
	if (!JB_ROOT_IS_OBJECT(args))
		return rf_field_error_set(error, "args", "is not a JSON object", "");

	it = JsonbIteratorInit(&args->root);
	(void) JsonbIteratorNext(&it, &key, false);
	while (JsonbIteratorNext(&it, &key, true) == WJB_KEY)
	{
		char	   *name = pnstrdup(key.val.string.val, key.val.string.len);

		(void) JsonbIteratorNext(&it, &value, true);
		if (value.type != jbvNull && !read_member(name, &value, out, error))
			return false;
	}
	if (out->nids == 0)
		return rf_field_error_set(error, "ids", "is missing or empty", "");
	return true;
}

bool
rf_enrich_takes_id(const char *id)
{
	size_t		len = strlen(id);

	for (size_t i = 0; i < len; i++)
	{
		if (id[i] <= ' ' || id[i] > '~')
			return false;
	}
	return len > 0 && len <= RF_ENRICH_ID_MAX;
}

Jsonb *
rf_enrich_args_make(const char **ids, int nids, const char *account)
{
	JsonbParseState *state = NULL;

	(void) pushJsonbValue(&state, WJB_BEGIN_OBJECT, NULL);
	push(&state, WJB_KEY, "ids");
	(void) pushJsonbValue(&state, WJB_BEGIN_ARRAY, NULL);
	for (int i = 0; i < nids; i++)
		push(&state, WJB_ELEM, ids[i]);
	(void) pushJsonbValue(&state, WJB_END_ARRAY, NULL);
	push(&state, WJB_KEY, "account");
	push(&state, WJB_VALUE, account);
	return JsonbValueToJsonb(pushJsonbValue(&state, WJB_END_OBJECT, NULL));
}

static bool
read_member(const char *name, const JsonbValue *value, RfEnrichArgs *out,
			RfFieldError *error)
{
	char		field[RF_FIELD_MAX];

	if (strcmp(name, "ids") == 0)
		return read_ids(value, out, error);
	if (strcmp(name, "account") == 0)
	{
		if (value->type != jbvString)
			return rf_field_error_set(error, "account", "is not a string", "");
		out->account = pnstrdup(value->val.string.val, value->val.string.len);
		return true;
	}
	snprintf(field, sizeof(field), "%.*s",
			 pg_mbcliplen(name, strlen(name), RF_FIELD_MAX - 1), name);
	return rf_field_error_set(error, field, "is not an argument of " RF_ENRICH_TASK,
							  "Arguments are: ids, account.");
}

static bool
read_ids(const JsonbValue *value, RfEnrichArgs *out, RfFieldError *error)
{
	char		field[RF_FIELD_MAX];
	JsonbIterator *it;
	JsonbValue	element;
	int			size;

	if (value->type != jbvBinary || !JsonContainerIsArray(value->val.binary.data) ||
		JsonContainerIsScalar(value->val.binary.data))
		return rf_field_error_set(error, "ids", "is not a list of strings", "");
	size = JsonContainerSize(value->val.binary.data);
	if (size > RF_PEOPLE_MAX_RESULTS)
		return rf_field_error_set(error, "ids", "has too many elements", "At most 50000 are taken.");
	out->ids = palloc((size + 1) * sizeof(char *));
	it = JsonbIteratorInit(value->val.binary.data);
	(void) JsonbIteratorNext(&it, &element, true);
	while (JsonbIteratorNext(&it, &element, true) == WJB_ELEM)
	{
		char	   *id = element.type == jbvString ?
			pnstrdup(element.val.string.val, element.val.string.len) : NULL;

		rf_field_index(field, "ids", out->nids);
		if (id == NULL || !rf_enrich_takes_id(id))
			return rf_field_error_set(error, field, "is not a person's id", "An id is at most 63 bytes of ASCII.");
		out->ids[out->nids++] = id;
	}
	return true;
}

static void
push(JsonbParseState **state, JsonbIteratorToken token, const char *string)
{
	JsonbValue	value;

	value.type = jbvString;
	value.val.string.val = unconstify(char *, string);
	value.val.string.len = strlen(string);
	(void) pushJsonbValue(state, token, &value);
}
