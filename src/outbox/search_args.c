/*-------------------------------------------------------------------------
 *
 * search_args.c
 *	  An apollo_search job's args (jsonb).
 *
 * IDENTIFICATION
 *	  src/outbox/search_args.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <errno.h>

#include "mb/pg_wchar.h"
#include "utils/numeric.h"
#include "utils/fmgrprotos.h"

#include "outbox/search_args.h"

/* A number as it was given; given: false where it was left out. */
typedef struct Numbers
{
	int64		max_results;
	int64		max_credits;
	bool		credits_given;
} Numbers;

static bool read_member(const char *name, const JsonbValue *value, RfSearchArgs *out,
						Numbers *numbers, RfFieldError *error);
static bool read_text(const char *name, const JsonbValue *value, RfText *out,
					  RfFieldError *error);
static bool read_list(const char *name, const JsonbValue *value, const RfText **list,
					  size_t *count, RfFieldError *error);
static bool read_number(const char *name, const JsonbValue *value, int64 *number,
						RfFieldError *error);

bool
rf_search_args_read(Jsonb *args, RfSearchArgs *out, RfFieldError *error)
{
	Numbers		numbers = {RF_SEARCH_MAX_RESULTS, 0, false};
	JsonbIterator *it;
	JsonbValue	key;
	JsonbValue	value;

	memset(out, 0, sizeof(*out));
	out->enrich = true;
	out->query.domain.data = "";
	if (!JB_ROOT_IS_OBJECT(args))
		return rf_field_error_set(error, "args", "is not a JSON object", "");

	it = JsonbIteratorInit(&args->root);
	(void) JsonbIteratorNext(&it, &key, false);
	while (JsonbIteratorNext(&it, &key, true) == WJB_KEY)
	{
		char	   *name = pnstrdup(key.val.string.val, key.val.string.len);

		(void) JsonbIteratorNext(&it, &value, true);
		if (value.type != jbvNull && !read_member(name, &value, out, &numbers, error))
			return false;
	}
	out->query.max_results = numbers.max_results;
	out->max_credits = (int) (numbers.credits_given ? numbers.max_credits : numbers.max_results);
	return rf_search_args_check(&out->query, out->max_credits, error);
}

bool
rf_search_args_check(const RfPeopleQuery *query, int max_credits, RfFieldError *error)
{
	if (!rf_people_check(query, error))
		return false;
	if (max_credits < 0)
		return rf_field_error_set(error, "max_credits", "is negative", "0 pays for nobody.");
	return true;
}

RfText
rf_search_text(const char *data, int len)
{
	char	   *string = pnstrdup(data, len);
	RfText		result;

	result.data = pg_server_to_any(string, len, PG_UTF8);
	result.len = strlen(result.data);
	return result;
}

static bool
read_member(const char *name, const JsonbValue *value, RfSearchArgs *out,
			Numbers *numbers, RfFieldError *error)
{
	char		field[RF_FIELD_MAX];
	RfPeopleQuery *query = &out->query;

	if (strcmp(name, "domain") == 0)
		return read_text(name, value, &query->domain, error);
	if (strcmp(name, "titles") == 0)
		return read_list(name, value, &query->titles, &query->ntitles, error);
	if (strcmp(name, "seniorities") == 0)
		return read_list(name, value, &query->seniorities, &query->nseniorities, error);
	if (strcmp(name, "locations") == 0)
		return read_list(name, value, &query->locations, &query->nlocations, error);
	if (strcmp(name, "max_results") == 0)
		return read_number(name, value, &numbers->max_results, error);
	if (strcmp(name, "max_credits") == 0)
	{
		numbers->credits_given = true;
		return read_number(name, value, &numbers->max_credits, error);
	}
	if (strcmp(name, "enrich") == 0)
	{
		if (value->type != jbvBool)
			return rf_field_error_set(error, name, "is neither true nor false", "");
		out->enrich = value->val.boolean;
		return true;
	}
	if (strcmp(name, "account") == 0)
	{
		if (value->type != jbvString)
			return rf_field_error_set(error, name, "is not a string", "");
		out->account = pnstrdup(value->val.string.val, value->val.string.len);
		return true;
	}
	snprintf(field, sizeof(field), "%.*s",
			 pg_mbcliplen(name, strlen(name), RF_FIELD_MAX - 1), name);
	return rf_field_error_set(error, field, "is not an argument of " RF_SEARCH_TASK,
							  "Arguments are: domain, titles, seniorities, locations, max_results, enrich, max_credits, account.");
}

static bool
read_text(const char *name, const JsonbValue *value, RfText *out, RfFieldError *error)
{
	if (value->type != jbvString)
		return rf_field_error_set(error, name, "is not a string", "");
	*out = rf_search_text(value->val.string.val, value->val.string.len);
	return true;
}

static bool
read_list(const char *name, const JsonbValue *value, const RfText **list,
		  size_t *count, RfFieldError *error)
{
	char		field[RF_FIELD_MAX];
	JsonbIterator *it;
	JsonbValue	element;
	RfText	   *texts;

	if (value->type != jbvBinary || !JsonContainerIsArray(value->val.binary.data) ||
		JsonContainerIsScalar(value->val.binary.data))
		return rf_field_error_set(error, name, "is not a list of strings", "");
	texts = palloc((JsonContainerSize(value->val.binary.data) + 1) * sizeof(RfText));
	it = JsonbIteratorInit(value->val.binary.data);
	(void) JsonbIteratorNext(&it, &element, true);
	while (JsonbIteratorNext(&it, &element, true) == WJB_ELEM)
	{
		rf_field_index(field, name, *count);
		if (element.type == jbvNull)
			return rf_field_error_set(error, field, "is null", "");
		if (!read_text(field, &element, &texts[*count], error))
			return false;
		(*count)++;
	}
	*list = texts;
	return true;
}

/* Whole, and of SQL's integer: what it may be is checked elsewhere. */
static bool
read_number(const char *name, const JsonbValue *value, int64 *number,
			RfFieldError *error)
{
	char	   *digits;
	char	   *end;

	if (value->type != jbvNumeric)
		return rf_field_error_set(error, name, "is not a number", "");
	digits = DatumGetCString(DirectFunctionCall1(numeric_out, NumericGetDatum(value->val.numeric)));
	errno = 0;
	*number = strtol(digits, &end, 10);
	if (errno != 0 || *end != '\0' || *number > PG_INT32_MAX || *number < PG_INT32_MIN)
		return rf_field_error_set(error, name, "is not a whole number, or too large", "");
	return true;
}
