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

/* Where these are depends on the function. */
#define STREAM		(-1)
#define UNSUBSCRIBE	(-2)

/*
 * Which parameters become members of args, and of which type.  In the order in
 * which jsonb has them, by length and then by bytes: so it need not sort.
 */
static const struct
{
	int			parameter;		/* or one of those below */
	const char *name;
	Oid			type;
}			arg_members[] = {
	{RF_P_CC, "cc", TEXTARRAYOID},
	{RF_P_BCC, "bcc", TEXTARRAYOID},
	{RF_P_TAGS, "tags", TEXTARRAYOID},
	{STREAM, "stream", TEXTOID},
	{RF_P_HEADERS, "headers", JSONBOID},
	{RF_P_SUBJECT, "subject", TEXTOID},
	{RF_P_TO_ADDR, "to_addr", TEXTOID},
	{RF_P_ACCOUNTS, "accounts", TEXTARRAYOID},
	{RF_P_REPLY_TO, "reply_to", TEXTOID},
	{RF_P_BODY_HTML, "body_html", TEXTOID},
	{RF_P_BODY_TEXT, "body_text", TEXTOID},
	{RF_P_FROM_ADDR, "from_addr", TEXTOID},
	{RF_P_CUSTOM_ARGS, "custom_args", JSONBOID},
	{UNSUBSCRIBE, "unsubscribe", BOOLOID},
	{RF_P_PROVIDER_OPTIONS, "provider_options", JSONBOID}
};

static void push_member(JsonbParseState **state, const char *name, Oid type, Datum value);
static void push_string(JsonbParseState **state, JsonbIteratorToken token, const char *data, int len);
static void push_text(JsonbParseState **state, JsonbIteratorToken token, text *value);
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
		int			parameter = arg_members[i].parameter;

		if (parameter < 0)
			parameter = parameter == STREAM ? stream : unsubscribe;
		if (!PG_ARGISNULL(parameter))
			push_member(&state, arg_members[i].name, arg_members[i].type, PG_GETARG_DATUM(parameter));
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
push_member(JsonbParseState **state, const char *name, Oid type, Datum value)
{
	JsonbValue	flag;

	push_string(state, WJB_KEY, name, strlen(name));
	switch (type)
	{
		case TEXTOID:
			push_text(state, WJB_VALUE, DatumGetTextPP(value));
			break;
		case TEXTARRAYOID:
			push_text_array(state, name, DatumGetArrayTypeP(value));
			break;
		case JSONBOID:
			push_jsonb(state, name, DatumGetJsonbP(value));
			break;
		case BOOLOID:
			flag.type = jbvBool;
			flag.val.boolean = DatumGetBool(value);
			(void) pushJsonbValue(state, WJB_VALUE, &flag);
			break;
	}
}

static void
push_string(JsonbParseState **state, JsonbIteratorToken token, const char *data, int len)
{
	JsonbValue	string;

	string.type = jbvString;
	string.val.string.val = unconstify(char *, data);
	string.val.string.len = len;
	(void) pushJsonbValue(state, token, &string);
}

static void
push_text(JsonbParseState **state, JsonbIteratorToken token, text *value)
{
	push_string(state, token, VARDATA_ANY(value), VARSIZE_ANY_EXHDR(value));
}

static void
push_text_array(JsonbParseState **state, const char *name, ArrayType *array)
{
	Datum	   *elements;
	bool	   *nulls;
	int			nelements;

	deconstruct_array(array, TEXTOID, -1, false, TYPALIGN_INT,
					  &elements, &nulls, &nelements);
	(void) pushJsonbValue(state, WJB_BEGIN_ARRAY, NULL);
	for (int i = 0; i < nelements; i++)
	{
		if (nulls[i])
			ereport(ERROR,
					(errcode(RF_ERRCODE_BAD_ARGUMENT),
					 errmsg("\"%s[%d]\" is null", name, i + 1)));
		push_text(state, WJB_ELEM, DatumGetTextPP(elements[i]));
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
	binary.type = jbvBinary;
	binary.val.binary.data = &value->root;
	binary.val.binary.len = VARSIZE_ANY_EXHDR(value);
	(void) pushJsonbValue(state, WJB_VALUE, &binary);
}
