/*-------------------------------------------------------------------------
 *
 * verify_args.c
 *	  A verify_emails job's args (jsonb): {"emails": [...], "account", "max_age"}.
 *
 * IDENTIFICATION
 *	  src/outbox/verify_args.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "mb/pg_wchar.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"

#include "outbox/verify_args.h"
#include "provider/field_error.h"

static bool read_member(const JsonbValue *key, const JsonbValue *value,
						RfVerifyArgs *out, RfFieldError *error);
static bool read_emails(const JsonbValue *value, RfVerifyArgs *out, RfFieldError *error);
static bool read_max_age(const JsonbValue *value, RfVerifyArgs *out, RfFieldError *error);
static bool is_name(const JsonbValue *key, const char *name);
static void push(JsonbParseState **state, JsonbIteratorToken token, const char *string);

bool
rf_verify_args_read(Jsonb *args, RfVerifyArgs *out, RfFieldError *error)
{
	JsonbIterator *it;
	JsonbValue	key;
	JsonbValue	value;

	memset(out, 0, sizeof(*out));
	out->max_age_us = PG_INT64_MAX;
	if (!JB_ROOT_IS_OBJECT(args))
		return rf_field_error_set(error, "args", "is not a JSON object", "");

	it = JsonbIteratorInit(&args->root);
	(void) JsonbIteratorNext(&it, &key, false);
	while (JsonbIteratorNext(&it, &key, true) == WJB_KEY)
	{
		(void) JsonbIteratorNext(&it, &value, true);
		if (value.type != jbvNull && !read_member(&key, &value, out, error))
			return false;
	}
	if (out->emails == NULL)
		return rf_field_error_set(error, "emails", "is missing", "");
	return true;
}

Jsonb *
rf_verify_args_make(char **emails, int nemails, const char *account,
					const char *max_age)
{
	JsonbParseState *state = NULL;

	(void) pushJsonbValue(&state, WJB_BEGIN_OBJECT, NULL);
	push(&state, WJB_KEY, "emails");
	(void) pushJsonbValue(&state, WJB_BEGIN_ARRAY, NULL);
	for (int i = 0; i < nemails; i++)
		push(&state, WJB_ELEM, emails[i]);
	(void) pushJsonbValue(&state, WJB_END_ARRAY, NULL);
	if (account != NULL)
	{
		push(&state, WJB_KEY, "account");
		push(&state, WJB_VALUE, account);
	}
	if (max_age != NULL)
	{
		push(&state, WJB_KEY, "max_age");
		push(&state, WJB_VALUE, max_age);
	}
	return JsonbValueToJsonb(pushJsonbValue(&state, WJB_END_OBJECT, NULL));
}

bool
rf_verify_age_us(const Interval *age, int64 *age_us)
{
	int64		days = (int64) age->month * 30 + age->day;

	if (age->month > 12 * 1000 || age->month < 0 || days < 0 || age->time < 0 ||
		age->time > USECS_PER_DAY * 365000)
		return false;
	*age_us = days * USECS_PER_DAY + age->time;
	return true;
}

static bool
read_member(const JsonbValue *key, const JsonbValue *value,
			RfVerifyArgs *out, RfFieldError *error)
{
	char		field[RF_FIELD_MAX];

	if (is_name(key, "emails"))
		return read_emails(value, out, error);
	if (is_name(key, "max_age"))
		return read_max_age(value, out, error);
	if (is_name(key, "account"))
	{
		if (value->type != jbvString)
			return rf_field_error_set(error, "account", "is not a string", "");
		out->account = pnstrdup(value->val.string.val, value->val.string.len);
		return true;
	}
	snprintf(field, sizeof(field), "%.*s",
			 pg_mbcliplen(key->val.string.val, key->val.string.len, RF_FIELD_MAX - 1),
			 key->val.string.val);
	return rf_field_error_set(error, field, "is not an argument of verify_emails",
							  "Arguments are: emails, account, max_age.");
}

static bool
read_emails(const JsonbValue *value, RfVerifyArgs *out, RfFieldError *error)
{
	JsonbIterator *it;
	JsonbValue	element;

	if (value->type != jbvBinary || !JsonContainerIsArray(value->val.binary.data) ||
		JsonContainerIsScalar(value->val.binary.data))
		return rf_field_error_set(error, "emails", "is not a list of strings", "");
	out->emails = MemoryContextAllocHuge(CurrentMemoryContext,
										 (JsonContainerSize(value->val.binary.data) + 1) * sizeof(char *));
	it = JsonbIteratorInit(value->val.binary.data);
	(void) JsonbIteratorNext(&it, &element, true);
	while (JsonbIteratorNext(&it, &element, true) == WJB_ELEM)
	{
		if (element.type == jbvNull)
			out->emails[out->nemails++] = NULL;
		else if (element.type == jbvString)
			out->emails[out->nemails++] = pnstrdup(element.val.string.val, element.val.string.len);
		else
			return rf_field_error_set(error, "emails", "is not a list of strings", "");
	}
	return true;
}

static bool
read_max_age(const JsonbValue *value, RfVerifyArgs *out, RfFieldError *error)
{
	Interval   *age;

	if (value->type != jbvString)
		return rf_field_error_set(error, "max_age", "is not an interval as text", "");
	age = DatumGetIntervalP(DirectFunctionCall3(interval_in,
												CStringGetDatum(pnstrdup(value->val.string.val, value->val.string.len)),
												ObjectIdGetDatum(InvalidOid), Int32GetDatum(-1)));
	if (!rf_verify_age_us(age, &out->max_age_us))
		return rf_field_error_set(error, "max_age", "is negative or longer than 1000 years", "");
	return true;
}

static bool
is_name(const JsonbValue *key, const char *name)
{
	return strlen(name) == (size_t) key->val.string.len &&
		memcmp(name, key->val.string.val, key->val.string.len) == 0;
}

static void
push(JsonbParseState **state, JsonbIteratorToken token, const char *string)
{
	JsonbValue	value;

	value.type = string != NULL ? jbvString : jbvNull;
	if (string != NULL)
	{
		value.val.string.val = unconstify(char *, string);
		value.val.string.len = strlen(string);
	}
	(void) pushJsonbValue(state, token, &value);
}
