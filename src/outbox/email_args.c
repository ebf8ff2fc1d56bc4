/*-------------------------------------------------------------------------
 *
 * email_args.c
 *	  A send_email job's args (jsonb) as the e-mail adapters understand.
 *
 * The members are roleferry.enqueue_email()'s parameters by name; one table
 * says what each holds.  No text round trip: strings are used where they lie
 * in the jsonb value.
 *
 * IDENTIFICATION
 *	  src/outbox/email_args.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "mb/pg_wchar.h"
#include "utils/builtins.h"
#include "utils/numeric.h"

#include "outbox/email_args.h"

typedef enum MemberKind
{
	MEMBER_TEXT,
	MEMBER_TEXT_LIST,
	MEMBER_MAP,
	MEMBER_JSON,
	MEMBER_FLAG,
	MEMBER_ACCOUNTS
} MemberKind;

typedef struct Member
{
	const char *name;
	MemberKind	kind;
	size_t		offset;			/* of the value in RfEmail */
	size_t		count_offset;	/* of its count, for lists and maps */
} Member;

static const Member members[] = {
	{"from_addr", MEMBER_TEXT, offsetof(RfEmail, from_addr), 0},
	{"to_addr", MEMBER_TEXT, offsetof(RfEmail, to_addr), 0},
	{"subject", MEMBER_TEXT, offsetof(RfEmail, subject), 0},
	{"body_html", MEMBER_TEXT, offsetof(RfEmail, body_html), 0},
	{"body_text", MEMBER_TEXT, offsetof(RfEmail, body_text), 0},
	{"reply_to", MEMBER_TEXT, offsetof(RfEmail, reply_to), 0},
	{"custom_args", MEMBER_MAP, offsetof(RfEmail, custom_args), offsetof(RfEmail, ncustom_args)},
	{"headers", MEMBER_MAP, offsetof(RfEmail, headers), offsetof(RfEmail, nheaders)},
	{"cc", MEMBER_TEXT_LIST, offsetof(RfEmail, cc), offsetof(RfEmail, ncc)},
	{"bcc", MEMBER_TEXT_LIST, offsetof(RfEmail, bcc), offsetof(RfEmail, nbcc)},
	{"tags", MEMBER_TEXT_LIST, offsetof(RfEmail, tags), offsetof(RfEmail, ntags)},
	{"provider_options", MEMBER_JSON, offsetof(RfEmail, provider_options), 0},
	{"stream", MEMBER_TEXT, offsetof(RfEmail, stream), 0},
	{"unsubscribe", MEMBER_FLAG, offsetof(RfEmail, unsubscribe), 0},
	{"accounts", MEMBER_ACCOUNTS, 0, 0}
};

static const Member *find_member(const JsonbValue *key);
static bool read_member(const Member *member, const JsonbValue *value,
						RfEmail *email, List **accounts, RfFieldError *error);
static bool read_text_list(const Member *member, const JsonbValue *value,
						   RfText **items, size_t *nitems, RfFieldError *error);
static bool read_map(const Member *member, const JsonbValue *value,
					 RfPair **pairs, size_t *npairs, RfFieldError *error);
static bool scalar_text(const JsonbValue *value, RfText *out);
static RfText to_utf8(const char *data, int len);
static bool set_error(RfFieldError *error, const char *field,
					  const char *problem, const char *hint);

bool
rf_email_args_need_transaction(void)
{
	return GetDatabaseEncoding() != PG_UTF8 &&
		GetDatabaseEncoding() != PG_SQL_ASCII;
}

bool
rf_email_from_args(Jsonb *args, RfEmail *email, List **accounts,
				   RfFieldError *error)
{
	JsonbIterator *it;
	JsonbValue	key;
	JsonbValue	value;
	JsonbIteratorToken token;

	memset(email, 0, sizeof(*email));
	*accounts = NIL;
	if (!JB_ROOT_IS_OBJECT(args))
		return set_error(error, "args", "is not a JSON object", "");

	it = JsonbIteratorInit(&args->root);
	token = JsonbIteratorNext(&it, &key, false);
	while ((token = JsonbIteratorNext(&it, &key, true)) == WJB_KEY)
	{
		const Member *member = find_member(&key);

		(void) JsonbIteratorNext(&it, &value, true);
		if (member == NULL)
		{
			char		field[RF_FIELD_MAX];

			snprintf(field, sizeof(field), "%.*s",
					 pg_mbcliplen(key.val.string.val, key.val.string.len,
								  RF_FIELD_MAX - 1),
					 key.val.string.val);
			return set_error(error, field, "is not an argument of send_email",
							 "Arguments are: from_addr, to_addr, subject, body_html, reply_to, custom_args, body_text, cc, bcc, headers, tags, accounts, provider_options, stream, unsubscribe.");
		}
		if (value.type == jbvNull)
			continue;			/* as a parameter left out */
		if (!read_member(member, &value, email, accounts, error))
			return false;
	}
	return true;
}

char *
rf_email_args_text(Jsonb *args, const char *name)
{
	JsonbValue	value;

	if (!JB_ROOT_IS_OBJECT(args) ||
		getKeyJsonValueFromContainer(&args->root, name, strlen(name), &value) == NULL ||
		value.type != jbvString)
		return NULL;
	return pnstrdup(value.val.string.val, value.val.string.len);
}

static const Member *
find_member(const JsonbValue *key)
{
	for (size_t i = 0; i < lengthof(members); i++)
	{
		if (strlen(members[i].name) == (size_t) key->val.string.len &&
			memcmp(members[i].name, key->val.string.val, key->val.string.len) == 0)
			return &members[i];
	}
	return NULL;
}

static bool
read_member(const Member *member, const JsonbValue *value,
			RfEmail *email, List **accounts, RfFieldError *error)
{
	char	   *target = (char *) email + member->offset;
	size_t	   *count = (size_t *) ((char *) email + member->count_offset);
	RfText	   *names;
	size_t		nnames;
	char	   *json;

	switch (member->kind)
	{
		case MEMBER_TEXT:
			if (value->type != jbvString)
				return set_error(error, member->name, "is not a string", "");
			*(RfText *) target = to_utf8(value->val.string.val, value->val.string.len);
			return true;
		case MEMBER_TEXT_LIST:
			return read_text_list(member, value, (RfText **) target, count, error);
		case MEMBER_MAP:
			return read_map(member, value, (RfPair **) target, count, error);
		case MEMBER_JSON:
			if (value->type != jbvBinary ||
				!JsonContainerIsObject(value->val.binary.data))
				return set_error(error, member->name, "is not a JSON object", "");
			json = JsonbToCString(NULL, value->val.binary.data, value->val.binary.len);
			*(RfText *) target = to_utf8(json, strlen(json));
			return true;
		case MEMBER_FLAG:
			if (value->type != jbvBool)
				return set_error(error, member->name, "is neither true nor false", "");
			*(bool *) target = value->val.boolean;
			return true;
		case MEMBER_ACCOUNTS:
			if (!read_text_list(member, value, &names, &nnames, error))
				return false;
			if (nnames == 0)
				return set_error(error, member->name, "is an empty list",
								 "Leave it out to use every account.");
			for (size_t i = 0; i < nnames; i++)
				*accounts = lappend(*accounts, pnstrdup(names[i].data, names[i].len));
			return true;
	}
	return false;				/* keep compiler quiet */
}

static bool
read_text_list(const Member *member, const JsonbValue *value,
			   RfText **items, size_t *nitems, RfFieldError *error)
{
	JsonbIterator *it;
	JsonbValue	element;
	JsonbIteratorToken token;
	size_t		size;

	if (value->type != jbvBinary || !JsonContainerIsArray(value->val.binary.data) ||
		JsonContainerIsScalar(value->val.binary.data))
		return set_error(error, member->name, "is not a list of strings", "");

	size = JsonContainerSize(value->val.binary.data);
	*items = palloc0((size + 1) * sizeof(RfText));
	*nitems = 0;
	it = JsonbIteratorInit(value->val.binary.data);
	token = JsonbIteratorNext(&it, &element, true);
	while ((token = JsonbIteratorNext(&it, &element, true)) == WJB_ELEM)
	{
		if (element.type != jbvString)
			return set_error(error, member->name, "is not a list of strings", "");
		(*items)[(*nitems)++] = to_utf8(element.val.string.val,
										element.val.string.len);
	}
	return true;
}

static bool
read_map(const Member *member, const JsonbValue *value,
		 RfPair **pairs, size_t *npairs, RfFieldError *error)
{
	JsonbIterator *it;
	JsonbValue	key;
	JsonbValue	element;
	size_t		size;

	if (value->type != jbvBinary || !JsonContainerIsObject(value->val.binary.data))
		return set_error(error, member->name, "is not a JSON object", "");

	size = JsonContainerSize(value->val.binary.data);
	*pairs = palloc0((size + 1) * sizeof(RfPair));
	*npairs = 0;
	it = JsonbIteratorInit(value->val.binary.data);
	(void) JsonbIteratorNext(&it, &key, true);
	while (JsonbIteratorNext(&it, &key, true) == WJB_KEY)
	{
		RfPair	   *pair = &(*pairs)[*npairs];

		(void) JsonbIteratorNext(&it, &element, true);
		if (element.type == jbvNull)
			continue;
		if (!scalar_text(&element, &pair->value))
			return set_error(error, member->name,
							 "holds a value that is no string, number or boolean",
							 "Give nested values as text.");
		pair->name = to_utf8(key.val.string.val, key.val.string.len);
		(*npairs)++;
	}
	return true;
}

static bool
scalar_text(const JsonbValue *value, RfText *out)
{
	char	   *digits;

	switch (value->type)
	{
		case jbvString:
			*out = to_utf8(value->val.string.val, value->val.string.len);
			return true;
		case jbvNumeric:
			digits = DatumGetCString(DirectFunctionCall1(numeric_out,
														 NumericGetDatum(value->val.numeric)));
			out->data = digits;
			out->len = strlen(digits);
			return true;
		case jbvBool:
			out->data = value->val.boolean ? "true" : "false";
			out->len = strlen(out->data);
			return true;
		default:
			return false;
	}
}

/* Where nothing can be converted (SQL_ASCII) the checks refuse what is not UTF-8. */
static RfText
to_utf8(const char *data, int len)
{
	RfText		result;

	result.data = data;
	result.len = len;
	if (rf_email_args_need_transaction())
	{
		result.data = (char *) pg_do_encoding_conversion((unsigned char *) unconstify(char *, data),
														 len, GetDatabaseEncoding(),
														 PG_UTF8);
		if (result.data != data)
			result.len = strlen(result.data);
	}
	if (result.data == NULL)
		result.data = "";
	return result;
}

static bool
set_error(RfFieldError *error, const char *field, const char *problem,
		  const char *hint)
{
	strlcpy(error->field, field, sizeof(error->field));
	strlcpy(error->problem, problem, sizeof(error->problem));
	strlcpy(error->hint, hint, sizeof(error->hint));
	return false;
}
