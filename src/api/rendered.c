/*-------------------------------------------------------------------------
 *
 * rendered.c
 *	  The request that a mail becomes, for people to look at.
 *
 * Built by the very code that the dispatcher builds requests with, in the
 * session and without the key: nothing else of a request is secret.
 *
 * IDENTIFICATION
 *	  src/api/rendered.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "lib/stringinfo.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"
#include "utils/json.h"

#include "api/rendered.h"
#include "outbox/statement.h"
#include "outbox/suppression.h"
#include "worker/render.h"

#define NO_SECRET	"***"

static void add_request(StringInfo out, const RfRequest *request);
static void add_headers(StringInfo out, const RfRequest *request);
static void add_fields(StringInfo out, const RfRequest *request);
static void add_string(StringInfo out, const char *utf8, size_t len);
static bool stands_before(const RfRequest *request, size_t field);

Jsonb *
rf_rendered_request(const RfAccount *account, int64 job_id, Jsonb *args,
					const char *installation, bool tests, char **problem)
{
	RfRendering rendering = {
		.job_id = job_id,
		.args = args,
		.installation = installation,
		.provider = account->provider,
		.account = {
			.base_url = account->base_url,
			.region = account->region,
			.domain = account->domain,
			.secret = NO_SECRET,
			.sandbox = tests
		}
	};
	RfRequest	request = {0};
	char		why[RF_REASON_MAX + 1];
	StringInfoData json;

	*problem = rf_suppression_of_mail(args, &rendering.taken_off);
	if (*problem != NULL)
		return NULL;
	if (rf_render_mail(&rendering, &request, why) != RF_RENDERED)
	{
		rf_request_free(&request);
		*problem = pstrdup(why);
		return NULL;
	}
	initStringInfo(&json);
	PG_TRY();
	{
		add_request(&json, &request);
	}
	PG_FINALLY();
	{
		rf_request_free(&request);
	}
	PG_END_TRY();
	return DatumGetJsonbP(DirectFunctionCall1(jsonb_in, CStringGetDatum(json.data)));
}

static void
add_request(StringInfo out, const RfRequest *request)
{
	appendStringInfo(out, "{\"method\": \"%s\", \"url\": ", request->get ? "GET" : "POST");
	add_string(out, request->url, strlen(request->url));
	appendStringInfoString(out, ", \"headers\": ");
	add_headers(out, request);
	appendStringInfoString(out, ", \"body\": ");
	if (request->nfields > 0)
		add_fields(out, request);
	else if (request->body != NULL)
		appendStringInfoString(out, rf_text_to_server(pnstrdup(request->body, request->body_len)));
	else
		appendStringInfoString(out, "null");
	appendStringInfoChar(out, '}');
}

/* Lines "Name: value"; what names who we are is one of them. */
static void
add_headers(StringInfo out, const RfRequest *request)
{
	appendStringInfoChar(out, '{');
	for (size_t i = 0; i < request->nheaders; i++)
	{
		const char *line = request->headers[i];
		const char *colon = strstr(line, ": ");

		if (colon == NULL)
			continue;
		if (i > 0)
			appendStringInfoString(out, ", ");
		add_string(out, line, colon - line);
		appendStringInfoString(out, ": ");
		add_string(out, colon + 2, strlen(colon + 2));
	}
	if (request->basic_user != NULL)
	{
		appendStringInfo(out, "%s\"Authorization\": ", request->nheaders > 0 ? ", " : "");
		add_string(out, "Basic " NO_SECRET, strlen("Basic " NO_SECRET));
	}
	appendStringInfoChar(out, '}');
}

static void
add_fields(StringInfo out, const RfRequest *request)
{
	bool		first = true;

	appendStringInfoChar(out, '{');
	for (size_t i = 0; i < request->nfields; i++)
	{
		const char *name = request->fields[i].name;
		size_t		count = 0;

		if (stands_before(request, i))
			continue;
		for (size_t j = i; j < request->nfields; j++)
			count += strcmp(request->fields[j].name, name) == 0;
		if (!first)
			appendStringInfoString(out, ", ");
		first = false;
		add_string(out, name, strlen(name));
		appendStringInfoString(out, count > 1 ? ": [" : ": ");
		for (size_t j = i, n = 0; j < request->nfields; j++)
		{
			if (strcmp(request->fields[j].name, name) != 0)
				continue;
			if (n++ > 0)
				appendStringInfoString(out, ", ");
			add_string(out, request->fields[j].value, request->fields[j].value_len);
		}
		if (count > 1)
			appendStringInfoChar(out, ']');
	}
	appendStringInfoChar(out, '}');
}

static void
add_string(StringInfo out, const char *utf8, size_t len)
{
	escape_json(out, rf_text_to_server(pnstrdup(utf8, len)));
}

/* Is the name of this field that of an earlier one? */
static bool
stands_before(const RfRequest *request, size_t field)
{
	for (size_t i = 0; i < field; i++)
	{
		if (strcmp(request->fields[i].name, request->fields[field].name) == 0)
			return true;
	}
	return false;
}
