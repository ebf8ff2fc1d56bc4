/*-------------------------------------------------------------------------
 *
 * webhook.c
 *	  roleferry.webhook_receive() and what belongs to it.
 *
 * IDENTIFICATION
 *	  src/api/webhook.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/detoast.h"
#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "fmgr.h"
#include "funcapi.h"
#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"

#include "api/version.h"
#include "compat.h"
#include "errors.h"
#include "inbox/order.h"
#include "inbox/owner.h"
#include "inbox/receive.h"
#include "inbox/replay.h"
#include "shmem/rejection.h"
#include "shmem/shared.h"
#include "shmem/stat_event.h"

#define OUTCOME_COLUMNS		6
#define HEADERS_MAX			(64 * 1024)
#define REPLAY_DEFAULT		1000

static void receive(FunctionCallInfo fcinfo, RfText (*fetch) (void *arg));
static RfText fetch_bytes(void *arg);
static RfText fetch_json(void *arg);
static void put_received(ReturnSetInfo *result, const RfReceived *received);
static void put_event(ReturnSetInfo *result, int http_status, const RfIncoming *event);
static void put_replayed(void *arg, const RfIncoming *event);
static const char *outcome_text(const RfIncoming *event);
static char *text_parameter(FunctionCallInfo fcinfo, int which);
static void replay(FunctionCallInfo fcinfo, const RfReplay *what);

PG_FUNCTION_INFO_V1(roleferry_webhook_receive);
PG_FUNCTION_INFO_V1(roleferry_webhook_receive_json);
PG_FUNCTION_INFO_V1(roleferry_webhook_rejected);
PG_FUNCTION_INFO_V1(roleferry_webhook_replay);
PG_FUNCTION_INFO_V1(roleferry_webhook_retry);
PG_FUNCTION_INFO_V1(roleferry_advance);

Datum
roleferry_webhook_receive(PG_FUNCTION_ARGS)
{
	receive(fcinfo, fetch_bytes);
	return (Datum) 0;
}

/* The text of json is what came, where the server's encoding is UTF-8. */
Datum
roleferry_webhook_receive_json(PG_FUNCTION_ARGS)
{
	receive(fcinfo, fetch_json);
	return (Datum) 0;
}

/* One row for each of the last that were not accepted. */
Datum
roleferry_webhook_rejected(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *result = (ReturnSetInfo *) fcinfo->resultinfo;
	RfRejection *list;
	int64		total;
	int			n;

	rf_shared_require();
	InitMaterializedSRF(fcinfo, 0);
	rf_version_require_columns(result->setDesc, 7);
	n = rf_rejection_list(&list, &total);
	for (int i = 0; i < n; i++)
	{
		Datum		values[7];
		bool		nulls[7] = {false};

		values[0] = TimestampTzGetDatum(list[i].at);
		nulls[1] = list[i].source[0] == '\0';
		values[1] = nulls[1] ? (Datum) 0 : CStringGetTextDatum(list[i].source);
		values[2] = Int32GetDatum(list[i].http_status);
		values[3] = CStringGetTextDatum(list[i].reason);
		values[4] = Int64GetDatum(list[i].body_bytes);
		nulls[5] = !list[i].reencoded;
		values[5] = nulls[5] ? (Datum) 0 :
			CStringGetTextDatum("The body is JSON: was it re-encoded on its way, or is the secret another one?");
		values[6] = Int64GetDatum(total - i);
		tuplestore_putvalues(result->setResult, result->setDesc, values, nulls);
	}
	return (Datum) 0;
}

Datum
roleferry_webhook_replay(PG_FUNCTION_ARGS)
{
	RfReplay	what = {0};

	rf_version_require_arguments(fcinfo, 6);
	what.source = text_parameter(fcinfo, 0);
	what.status = text_parameter(fcinfo, 1);
	what.type = text_parameter(fcinfo, 2);
	what.since = PG_ARGISNULL(3) ? 0 : PG_GETARG_TIMESTAMPTZ(3);
	what.max_events = PG_ARGISNULL(4) ? REPLAY_DEFAULT : PG_GETARG_INT32(4);
	what.dry_run = !PG_ARGISNULL(5) && PG_GETARG_BOOL(5);
	if (what.status != NULL && strcmp(what.status, "failed") != 0 &&
		strcmp(what.status, "dead") != 0 && strcmp(what.status, "shadow") != 0)
		ereport(ERROR,
				(errcode(RF_ERRCODE_BAD_ARGUMENT),
				 errmsg("unrecognized value for \"status\": \"%s\"", what.status),
				 errhint("Valid values are: failed, dead, shadow. What was applied is not applied again.")));
	if (what.max_events < 1)
		ereport(ERROR,
				(errcode(RF_ERRCODE_BAD_ARGUMENT),
				 errmsg("\"max_events\" is not positive")));
	replay(fcinfo, &what);
	return (Datum) 0;
}

Datum
roleferry_webhook_retry(PG_FUNCTION_ARGS)
{
	RfReplay	what = {0};

	rf_version_require_arguments(fcinfo, 1);
	what.due = true;
	what.max_events = PG_ARGISNULL(0) ? REPLAY_DEFAULT : Max(PG_GETARG_INT32(0), 1);
	replay(fcinfo, &what);
	return (Datum) 0;
}

/* Objects belong to the role that names them. */
Datum
roleferry_advance(PG_FUNCTION_ARGS)
{
	Datum		values[4];
	RfActing	acting;
	bool		moved;

	rf_version_require_arguments(fcinfo, 3);
	for (int i = 0; i < 2; i++)
	{
		if (PG_ARGISNULL(i))
			ereport(ERROR,
					(errcode(RF_ERRCODE_BAD_ARGUMENT),
					 errmsg("\"%s\" is null", i == 0 ? "object" : "occurred_at")));
	}
	values[0] = CStringGetTextDatum(GetUserNameFromId(GetUserId(), false));
	values[1] = PG_GETARG_DATUM(0);
	values[2] = PG_GETARG_DATUM(1);
	values[3] = PG_ARGISNULL(2) ? Int32GetDatum(0) : PG_GETARG_DATUM(2);
	rf_acting_begin_owner(&acting, fcinfo->flinfo->fn_oid);
	SPI_connect();
	moved = rf_order_advance(values);
	SPI_finish();
	rf_acting_end(&acting);
	PG_RETURN_BOOL(moved);
}

static void
receive(FunctionCallInfo fcinfo, RfText (*fetch) (void *arg))
{
	ReturnSetInfo *result = (ReturnSetInfo *) fcinfo->resultinfo;
	char	   *source = text_parameter(fcinfo, 0);
	bool		headers = !PG_ARGISNULL(1) &&
		toast_raw_datum_size(PG_GETARG_DATUM(1)) <= HEADERS_MAX + VARHDRSZ;
	int64		body_len = PG_ARGISNULL(2) ? 0 :
		(int64) toast_raw_datum_size(PG_GETARG_DATUM(2)) - VARHDRSZ;
	RfActing	acting;
	RfReceived	received;

	rf_shared_require();
	rf_version_require_arguments(fcinfo, 3);
	InitMaterializedSRF(fcinfo, 0);
	rf_version_require_columns(result->setDesc, OUTCOME_COLUMNS);

	rf_acting_begin_owner(&acting, fcinfo->flinfo->fn_oid);
	SPI_connect();
	rf_receive(source, headers ? PG_GETARG_JSONB_P(1) : NULL, body_len, fetch, fcinfo, &received);
	put_received(result, &received);
	rf_intake_free(&received.intake);
	SPI_finish();
	rf_acting_end(&acting);
}

static RfText
fetch_bytes(void *arg)
{
	FunctionCallInfo fcinfo = arg;
	RfText		body = {"", 0};
	bytea	   *bytes;

	if (PG_ARGISNULL(2))
		return body;
	bytes = PG_GETARG_BYTEA_PP(2);
	body.data = VARDATA_ANY(bytes);
	body.len = VARSIZE_ANY_EXHDR(bytes);
	return body;
}

static RfText
fetch_json(void *arg)
{
	RfText		body = fetch_bytes(arg);

	if (GetDatabaseEncoding() != PG_UTF8 && GetDatabaseEncoding() != PG_SQL_ASCII && body.len > 0)
	{
		body.data = pg_server_to_any(pnstrdup(body.data, body.len), (int) body.len, PG_UTF8);
		body.len = strlen(body.data);
	}
	return body;
}

static void
put_received(ReturnSetInfo *result, const RfReceived *received)
{
	Datum		values[OUTCOME_COLUMNS];
	bool		nulls[OUTCOME_COLUMNS] = {false, false, true, true, true, false};

	for (int i = 0; i < received->intake.nevents; i++)
	{
		const RfIncoming *event = &received->intake.events[i];

		put_event(result, received->http_status, event);
		rf_stat_event_note((int) event->event.kind, outcome_text(event));
	}
	if (received->intake.nevents > 0 && !received->rejected)
		return;
	values[0] = CStringGetTextDatum(received->rejected ? "rejected" : "accepted");
	values[1] = Int32GetDatum(received->http_status);
	values[5] = CStringGetTextDatum(received->rejected ? "the request was not accepted" : "no events");
	tuplestore_putvalues(result->setResult, result->setDesc, values, nulls);
}

static void
put_event(ReturnSetInfo *result, int http_status, const RfIncoming *event)
{
	const char *reason = event->first != NULL ? event->first :
		(event->error != NULL ? event->error : rf_intake_status(event));
	Datum		values[OUTCOME_COLUMNS];
	bool		nulls[OUTCOME_COLUMNS] = {false};

	values[0] = CStringGetTextDatum(outcome_text(event));
	values[1] = Int32GetDatum(http_status);
	values[2] = CStringGetTextDatum(event->event_id);
	values[3] = CStringGetTextDatum(event->type);
	values[4] = Int64GetDatum(event->row_id);
	values[5] = CStringGetTextDatum(reason);
	tuplestore_putvalues(result->setResult, result->setDesc, values, nulls);
}

static const char *
outcome_text(const RfIncoming *event)
{
	switch (event->fate)
	{
		case RF_FATE_NEW:
		case RF_FATE_APPLIED:
		case RF_FATE_QUEUED:
		case RF_FATE_SHADOW:
			return "accepted";
		case RF_FATE_DUPLICATE:
			return "duplicate";
		case RF_FATE_FAILED:
		case RF_FATE_DEAD:
			return "failed";
	}
	return "";					/* keep compiler quiet */
}

static void
replay(FunctionCallInfo fcinfo, const RfReplay *what)
{
	ReturnSetInfo *result = (ReturnSetInfo *) fcinfo->resultinfo;
	RfActing	acting;

	rf_shared_require();
	InitMaterializedSRF(fcinfo, 0);
	rf_version_require_columns(result->setDesc, OUTCOME_COLUMNS);
	rf_acting_begin_owner(&acting, fcinfo->flinfo->fn_oid);
	SPI_connect();
	rf_replay(what, put_replayed, result);
	SPI_finish();
	rf_acting_end(&acting);
}

static void
put_replayed(void *arg, const RfIncoming *event)
{
	RfIncoming	shown = *event;

	/* What it was, where it came to a good end or was only looked at. */
	if (shown.error != NULL)
		shown.first = NULL;
	put_event(arg, 200, &shown);
}

static char *
text_parameter(FunctionCallInfo fcinfo, int which)
{
	return PG_ARGISNULL(which) ? NULL : text_to_cstring(PG_GETARG_TEXT_PP(which));
}
