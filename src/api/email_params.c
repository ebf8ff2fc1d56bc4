/*-------------------------------------------------------------------------
 *
 * email_params.c
 *	  The parameters that describe a mail, as a job's args.
 *
 * IDENTIFICATION
 *	  src/api/email_params.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "utils/array.h"
#include "utils/builtins.h"

#include "errors.h"
#include "api/email_params.h"

/* Which parameters become members of args, and of which type. */
static const struct
{
	RfEmailParam parameter;
	const char *name;
	Oid			type;
}			arg_members[] = {
	{RF_P_FROM_ADDR, "from_addr", TEXTOID},
	{RF_P_TO_ADDR, "to_addr", TEXTOID},
	{RF_P_SUBJECT, "subject", TEXTOID},
	{RF_P_BODY_HTML, "body_html", TEXTOID},
	{RF_P_REPLY_TO, "reply_to", TEXTOID},
	{RF_P_CUSTOM_ARGS, "custom_args", JSONBOID},
	{RF_P_BODY_TEXT, "body_text", TEXTOID},
	{RF_P_CC, "cc", TEXTARRAYOID},
	{RF_P_BCC, "bcc", TEXTARRAYOID},
	{RF_P_HEADERS, "headers", JSONBOID},
	{RF_P_TAGS, "tags", TEXTARRAYOID},
	{RF_P_ACCOUNTS, "accounts", TEXTARRAYOID},
	{RF_P_PROVIDER_OPTIONS, "provider_options", JSONBOID}
};

static void push_text(JsonbParseState **state, text *value, JsonbIteratorToken token);
static void push_text_array(JsonbParseState **state, const char *name, ArrayType *array);
static void push_jsonb(JsonbParseState **state, const char *name, Jsonb *value);

Jsonb *
rf_email_params_args(FunctionCallInfo fcinfo, int stream, int unsubscribe)
{
	JsonbParseState *state = NULL;
	JsonbValue *object;

	(void) pushJsonbValue(&state, WJB_BEGIN_OBJECT, NULL);
	for (size_t i = 0; i < lengthof(arg_members); i++)
	{
		const char *name = arg_members[i].name;
		Datum		value;

		if (PG_ARGISNULL(arg_members[i].parameter))
			continue;
		value = PG_GETARG_DATUM(arg_members[i].parameter);
		if (arg_members[i].type == TEXTOID)
		{
			push_text(&state, cstring_to_text(name), WJB_KEY);
			push_text(&state, DatumGetTextPP(value), WJB_VALUE);
		}
		else if (arg_members[i].type == TEXTARRAYOID)
			push_text_array(&state, name, DatumGetArrayTypeP(value));
		else
			push_jsonb(&state, name, DatumGetJsonbP(value));
	}
	if (!PG_ARGISNULL(stream))
	{
		push_text(&state, cstring_to_text("stream"), WJB_KEY);
		push_text(&state, PG_GETARG_TEXT_PP(stream), WJB_VALUE);
	}
	if (!PG_ARGISNULL(unsubscribe))
	{
		JsonbValue	flag = {.type = jbvBool,.val.boolean = PG_GETARG_BOOL(unsubscribe)};

		push_text(&state, cstring_to_text("unsubscribe"), WJB_KEY);
		(void) pushJsonbValue(&state, WJB_VALUE, &flag);
	}
	object = pushJsonbValue(&state, WJB_END_OBJECT, NULL);
	return JsonbValueToJsonb(object);
}

char *
rf_email_params_text(FunctionCallInfo fcinfo, int which)
{
	return PG_ARGISNULL(which) ? NULL : text_to_cstring(PG_GETARG_TEXT_PP(which));
}

static void
push_text(JsonbParseState **state, text *value, JsonbIteratorToken token)
{
	JsonbValue	string;

	string.type = jbvString;
	string.val.string.val = VARDATA_ANY(value);
	string.val.string.len = VARSIZE_ANY_EXHDR(value);
	(void) pushJsonbValue(state, token, &string);
}

static void
push_text_array(JsonbParseState **state, const char *name, ArrayType *array)
{
	Datum	   *elements;
	bool	   *nulls;
	int			nelements;

	deconstruct_array(array, TEXTOID, -1, false, TYPALIGN_INT,
					  &elements, &nulls, &nelements);
	push_text(state, cstring_to_text(name), WJB_KEY);
	(void) pushJsonbValue(state, WJB_BEGIN_ARRAY, NULL);
	for (int i = 0; i < nelements; i++)
	{
		if (nulls[i])
			ereport(ERROR,
					(errcode(RF_ERRCODE_BAD_ARGUMENT),
					 errmsg("\"%s[%d]\" is null", name, i + 1)));
		push_text(state, DatumGetTextPP(elements[i]), WJB_ELEM);
	}
	(void) pushJsonbValue(state, WJB_END_ARRAY, NULL);
}

static void
push_jsonb(JsonbParseState **state, const char *name, Jsonb *value)
{
	JsonbValue	binary;

	if (!JB_ROOT_IS_OBJECT(value))
		ereport(ERROR,
				(errcode(RF_ERRCODE_BAD_ARGUMENT),
				 errmsg("\"%s\" is not a JSON object", name)));
	push_text(state, cstring_to_text(name), WJB_KEY);
	binary.type = jbvBinary;
	binary.val.binary.data = &value->root;
	binary.val.binary.len = VARSIZE_ANY_EXHDR(value);
	(void) pushJsonbValue(state, WJB_VALUE, &binary);
}
