/*-------------------------------------------------------------------------
 *
 * handler.c
 *	  Functions that events are handed to: rows of roleferry.webhook_handler.
 *
 * A handler runs as the role in its row, which the row's author had to be a
 * member of, and never as a superuser: who may call webhook_receive() lends it
 * nothing, and gets nothing of it.
 *
 * IDENTIFICATION
 *	  src/inbox/handler.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "miscadmin.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/memutils.h"

#include "errors.h"
#include "inbox/owner.h"
#include "outbox/handler_job.h"
#include "outbox/statement.h"
#include "inbox/handler.h"

/* The call of one function, planned once a session. */
typedef struct Call
{
	char	   *function;
	RfStatement statement;
} Call;

static List *calls = NIL;

static bool matches(const char *pattern, const char *word);
static Oid	find_role(const RfHandler *handler);
static RfStatement *find_call(const char *function);

List *
rf_handler_list(const char *source)
{
	static RfStatement find = {
		"SELECT h.id, h.event, h.function, h.role, h.mode = 'queued', h.max_attempts, h.retry_base, h.retry_cap FROM roleferry.webhook_handler AS h"
		" WHERE h.source = $1 ORDER BY h.id",
		1, {TEXTOID}, NULL
	};
	Datum		value = CStringGetTextDatum(source);
	uint64		count = rf_statement_run(&find, &value, NULL);
	List	   *handlers = NIL;

	for (uint64 i = 0; i < count; i++)
	{
		RfHandler  *handler = palloc0(sizeof(RfHandler));
		HeapTuple	row = SPI_tuptable->vals[i];
		TupleDesc	desc = SPI_tuptable->tupdesc;
		bool		isnull;

		handler->id = DatumGetInt64(SPI_getbinval(row, desc, 1, &isnull));
		handler->event = TextDatumGetCString(SPI_getbinval(row, desc, 2, &isnull));
		handler->function = TextDatumGetCString(SPI_getbinval(row, desc, 3, &isnull));
		handler->role = TextDatumGetCString(SPI_getbinval(row, desc, 4, &isnull));
		handler->queued = DatumGetBool(SPI_getbinval(row, desc, 5, &isnull));
		handler->max_attempts = DatumGetInt32(SPI_getbinval(row, desc, 6, &isnull));
		handler->retry_base_us = rf_interval_us(row, desc, 7);
		handler->retry_cap_us = rf_interval_us(row, desc, 8);
		handlers = lappend(handlers, handler);
	}
	return handlers;
}

RfHandler *
rf_handler_find(List *handlers, int64 id)
{
	ListCell   *lc;

	foreach(lc, handlers)
		if (((RfHandler *) lfirst(lc))->id == id)
		return lfirst(lc);
	return NULL;
}

bool
rf_handler_wants(const RfHandler *handler, const RfIncoming *event)
{
	return matches(handler->event, event->type) ||
		matches(handler->event, rf_event_kind_text(event->event.kind));
}

void
rf_handler_run(const RfHandler *handler, const char *source, RfText raw)
{
	Oid			role = find_role(handler);
	RfActing	acting;
	Datum		values[2];

	rf_acting_begin_role(&acting, role);
	values[0] = CStringGetTextDatum(source);
	values[1] = rf_handler_event_datum(raw.data, raw.len);
	(void) rf_statement_run(find_call(handler->function), values, NULL);
	rf_acting_end(&acting);
}

/* Each star is tried with as little as possible; only the last one is tried again. */
static bool
matches(const char *pattern, const char *word)
{
	const char *star = NULL;
	const char *after_star = NULL;

	while (*word != '\0')
	{
		if (*pattern == '*')
		{
			star = ++pattern;
			after_star = word;
		}
		else if (*pattern == *word)
		{
			pattern++;
			word++;
		}
		else if (star != NULL)
		{
			pattern = star;
			word = ++after_star;
		}
		else
			return false;
	}
	while (*pattern == '*')
		pattern++;
	return *pattern == '\0';
}

static Oid
find_role(const RfHandler *handler)
{
	Oid			role = get_role_oid(handler->role, true);

	if (!OidIsValid(role))
		ereport(ERROR,
				(errcode(RF_ERRCODE_NOT_FOUND),
				 errmsg("the handler's role \"%s\" does not exist", handler->role)));
	if (superuser_arg(role))
		ereport(ERROR,
				(errcode(RF_ERRCODE_NO_RIGHT),
				 errmsg("the handler's role \"%s\" is a superuser", handler->role),
				 errhint("Name another in the handler's row.")));
	return role;
}

static RfStatement *
find_call(const char *function)
{
	MemoryContext context;
	Call	   *call;
	ListCell   *lc;

	foreach(lc, calls)
	{
		call = lfirst(lc);
		if (strcmp(call->function, function) == 0)
			return &call->statement;
	}
	context = MemoryContextSwitchTo(TopMemoryContext);
	call = palloc0(sizeof(Call));
	call->function = pstrdup(function);
	call->statement.sql = psprintf("SELECT %s($1, $2)", function);
	call->statement.nargs = 2;
	call->statement.types[0] = TEXTOID;
	call->statement.types[1] = JSONBOID;
	calls = lappend(calls, call);
	MemoryContextSwitchTo(context);
	return &call->statement;
}
