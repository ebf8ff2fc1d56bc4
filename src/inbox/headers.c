/*-------------------------------------------------------------------------
 *
 * headers.c
 *	  The headers of a request, as a front hands them over: a jsonb object.
 *
 * Fronts agree on little: names come in any case, values as a string or as a
 * list of those that were sent.  A header of ours that was sent twice is noted
 * twice, which makes it useless.
 *
 * IDENTIFICATION
 *	  src/inbox/headers.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "inbox/headers.h"

static void add_value(RfSignHeaders *out, RfText name, const JsonbValue *value);
static RfText as_text(const JsonbValue *value);

bool
rf_headers_read(Jsonb *headers, RfSignHeaders *out)
{
	JsonbIterator *iterator;
	JsonbIteratorToken token;
	JsonbValue	value;
	RfText		name = {"", 0};

	memset(out, 0, sizeof(*out));
	if (!JB_ROOT_IS_OBJECT(headers))
		return false;
	iterator = JsonbIteratorInit(&headers->root);
	while ((token = JsonbIteratorNext(&iterator, &value, true)) != WJB_DONE)
	{
		if (token == WJB_KEY)
			name = as_text(&value);
		else if (token == WJB_VALUE)
			add_value(out, name, &value);
	}
	return true;
}

static void
add_value(RfSignHeaders *out, RfText name, const JsonbValue *value)
{
	JsonbIterator *iterator;
	JsonbIteratorToken token;
	JsonbValue	element;

	if (value->type == jbvString)
		rf_sign_headers_add(out, name, as_text(value));
	if (value->type != jbvBinary || !JsonContainerIsArray(value->val.binary.data))
		return;
	iterator = JsonbIteratorInit(value->val.binary.data);
	while ((token = JsonbIteratorNext(&iterator, &element, true)) != WJB_DONE)
	{
		if (token == WJB_ELEM && element.type == jbvString)
			rf_sign_headers_add(out, name, as_text(&element));
	}
}

static RfText
as_text(const JsonbValue *value)
{
	RfText		result;

	result.data = value->val.string.val;
	result.len = (size_t) value->val.string.len;
	return result;
}
