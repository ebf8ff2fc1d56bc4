/*-------------------------------------------------------------------------
 *
 * task_call.c
 *	  The function of a SQL task, and the statement that calls it.
 *
 * Args become typed values by jsonb_to_record(), and are passed by name, so
 * that what is left out has its default.
 *
 * IDENTIFICATION
 *	  src/outbox/task_call.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "catalog/pg_proc.h"
#include "catalog/pg_type.h"
#include "funcapi.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/regproc.h"
#include "utils/syscache.h"

#include "outbox/task_call.h"

static bool is_callable(HeapTuple tuple, char **why);
static bool read_inputs(HeapTuple tuple, RfTaskSignature *signature, char **why);
static bool has_key(Jsonb *args, const char *key);
static void append_columns(const RfTaskSignature *signature, Jsonb *args, StringInfo out);

bool
rf_task_signature(Oid function, RfTaskSignature *signature, char **why)
{
	HeapTuple	tuple = SearchSysCache1(PROCOID, ObjectIdGetDatum(function));
	bool		good;

	memset(signature, 0, sizeof(*signature));
	if (!HeapTupleIsValid(tuple))
	{
		*why = pstrdup("does not exist");
		return false;
	}
	signature->function = function;
	good = is_callable(tuple, why) && read_inputs(tuple, signature, why);
	if (good)
	{
		Form_pg_proc form = (Form_pg_proc) GETSTRUCT(tuple);

		signature->result = form->prorettype;
		signature->nrequired = signature->nargs - form->pronargdefaults;
		signature->whole = signature->nargs == 1 && signature->types[0] == JSONBOID;
	}
	ReleaseSysCache(tuple);
	return good;
}

bool
rf_task_args_fit(const RfTaskSignature *signature, Jsonb *args, char **why)
{
	JsonbIterator *iterator;
	JsonbValue	value;
	JsonbIteratorToken token;

	if (signature->whole)
		return true;
	iterator = JsonbIteratorInit(&args->root);
	while ((token = JsonbIteratorNext(&iterator, &value, true)) != WJB_DONE)
	{
		bool		known = token != WJB_KEY;

		for (int i = 0; i < signature->nargs && !known; i++)
			known = strlen(signature->names[i]) == (size_t) value.val.string.len &&
				memcmp(signature->names[i], value.val.string.val, value.val.string.len) == 0;
		if (known)
			continue;
		*why = psprintf("has the key \"%s\", which is no parameter of %s",
						pnstrdup(value.val.string.val, value.val.string.len),
						format_procedure(signature->function));
		return false;
	}
	for (int i = 0; i < signature->nrequired; i++)
	{
		if (has_key(args, signature->names[i]))
			continue;
		*why = psprintf("lacks the key \"%s\", a parameter of %s without default",
						signature->names[i], format_procedure(signature->function));
		return false;
	}
	return true;
}

void
rf_task_call_text(const RfTaskSignature *signature, Jsonb *args, StringInfo out)
{
	bool		converts = signature->result != VOIDOID && signature->result != JSONBOID;
	char	   *name = quote_qualified_identifier(get_namespace_name(get_func_namespace(signature->function)),
												  get_func_name(signature->function));
	bool		first = true;

	appendStringInfo(out, "SELECT %s%s(", converts ? "pg_catalog.to_jsonb(" : "", name);
	if (signature->whole)
		appendStringInfoString(out, "$1");
	for (int i = 0; i < signature->nargs && !signature->whole; i++)
	{
		const char *parameter = quote_identifier(signature->names[i]);

		if (!has_key(args, signature->names[i]))
			continue;
		appendStringInfo(out, "%s%s => a.%s", first ? "" : ", ", parameter, parameter);
		first = false;
	}
	appendStringInfoString(out, converts ? "))" : ")");
	if (!first)
		append_columns(signature, args, out);
}

static bool
is_callable(HeapTuple tuple, char **why)
{
	Form_pg_proc form = (Form_pg_proc) GETSTRUCT(tuple);

	if (form->prokind != PROKIND_FUNCTION)
		*why = pstrdup("is no plain function");
	else if (form->proretset)
		*why = pstrdup("returns a set");
	else if (OidIsValid(form->provariadic))
		*why = pstrdup("takes any number of arguments");
	else if (form->prorettype != VOIDOID && form->prorettype != RECORDOID &&
			 get_typtype(form->prorettype) == TYPTYPE_PSEUDO)
		*why = psprintf("returns %s", format_type_be(form->prorettype));
	else
		return true;
	return false;
}

static bool
read_inputs(HeapTuple tuple, RfTaskSignature *signature, char **why)
{
	Oid		   *types;
	char	  **names;
	char	   *modes;
	int			all = get_func_arg_info(tuple, &types, &names, &modes);

	signature->names = palloc((all + 1) * sizeof(char *));
	signature->types = palloc((all + 1) * sizeof(Oid));
	for (int i = 0; i < all; i++)
	{
		if (modes != NULL && modes[i] != FUNC_PARAM_IN && modes[i] != FUNC_PARAM_INOUT)
			continue;
		if (get_typtype(types[i]) == TYPTYPE_PSEUDO)
		{
			*why = psprintf("takes an argument of type %s", format_type_be(types[i]));
			return false;
		}
		signature->names[signature->nargs] = names != NULL && names[i] != NULL ? names[i] : pstrdup("");
		signature->types[signature->nargs++] = types[i];
	}
	for (int i = 0; i < signature->nargs; i++)
	{
		if (signature->names[i][0] != '\0' || (signature->nargs == 1 && signature->types[0] == JSONBOID))
			continue;
		*why = psprintf("has a parameter without a name, number %d", i + 1);
		return false;
	}
	return true;
}

static bool
has_key(Jsonb *args, const char *key)
{
	JsonbValue	value;

	return getKeyJsonValueFromContainer(&args->root, key, (int) strlen(key), &value) != NULL;
}

static void
append_columns(const RfTaskSignature *signature, Jsonb *args, StringInfo out)
{
	bool		first = true;

	appendStringInfoString(out, " FROM pg_catalog.jsonb_to_record($1) AS a(");
	for (int i = 0; i < signature->nargs; i++)
	{
		if (!has_key(args, signature->names[i]))
			continue;
		appendStringInfo(out, "%s%s %s", first ? "" : ", ", quote_identifier(signature->names[i]),
						 format_type_extended(signature->types[i], -1, FORMAT_TYPE_FORCE_QUALIFY));
		first = false;
	}
	appendStringInfoChar(out, ')');
}
