/*-------------------------------------------------------------------------
 *
 * test_events.c
 *	  Events by themselves, so that tests need no signature.
 *
 * Tests create the SQL function; a production build does not have it.
 *
 * IDENTIFICATION
 *	  src/api/test_events.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#ifdef RF_FAULTS

#include "executor/spi.h"
#include "fmgr.h"
#include "lib/stringinfo.h"
#include "utils/builtins.h"

#include "outbox/event.h"

PG_FUNCTION_INFO_V1(roleferry_events_test);

/*
 * roleferry_events_test(provider text, body text) returns text: for each event
 * of the body its kind, whose mail it was about, and whether it settled that.
 */
Datum
roleferry_events_test(PG_FUNCTION_ARGS)
{
	static const char *const standings[] = {"unmatched", "matched", "foreign"};
	char	   *provider = text_to_cstring(PG_GETARG_TEXT_PP(0));
	char	   *body = text_to_cstring(PG_GETARG_TEXT_PP(1));
	StringInfoData out;
	RfText	   *members;
	size_t		nmembers;
	RfEvent    *events;
	const RfEvent **pointers;
	int64	   *rows;
	RfEventEffect *effects;

	if (!rf_events_split(provider, body, strlen(body), &members, &nmembers))
		PG_RETURN_NULL();
	events = palloc((nmembers + 1) * sizeof(RfEvent));
	pointers = palloc((nmembers + 1) * sizeof(RfEvent *));
	rows = palloc((nmembers + 1) * sizeof(int64));
	effects = palloc((nmembers + 1) * sizeof(RfEventEffect));
	for (size_t i = 0; i < nmembers; i++)
	{
		rf_event_read(provider, members[i], &events[i]);
		pointers[i] = &events[i];
		rows[i] = (int64) i + 1;
	}

	SPI_connect();
	rf_events_apply(pointers, rows, (int) nmembers, "test", effects);
	SPI_finish();

	initStringInfo(&out);
	for (size_t i = 0; i < nmembers; i++)
	{
		appendStringInfo(&out, "%s%s %s%s", i > 0 ? ", " : "", rf_event_kind_text(events[i].kind),
						 standings[effects[i].standing], effects[i].settled ? " settled" : "");
		rf_event_free(&events[i]);
	}
	free(members);
	PG_RETURN_TEXT_P(cstring_to_text(out.data));
}

#endif							/* RF_FAULTS */
