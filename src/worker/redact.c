/*-------------------------------------------------------------------------
 *
 * redact.c
 *	  Taking our credentials out of a provider's answer.
 *
 * A provider may repeat what it was sent, and what it says reaches tables,
 * views and the log.  The key is overwritten wherever it stands in the answer
 * before anything is made of that.
 *
 * IDENTIFICATION
 *	  src/worker/redact.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "compat.h"
#include "worker/redact.h"

#define SECRET_MIN_BYTES	8	/* as rf_text_excerpt() */

static bool holds_key(const char *header);
static void hide_member(RfTransfer *transfer);
static void hide_text(RfResponse *response, const char *secret);
static void overwrite_text(char *data, size_t len, const char *secret);

void
rf_redact_answer(RfTransfer *transfer)
{
	RfRequest  *request = &transfer->request;
	bool		found = request->basic_password != NULL;

	for (size_t i = 0; i < request->nheaders; i++)
	{
		const char *space = strrchr(request->headers[i], ' ');

		if (!holds_key(request->headers[i]) || space == NULL)
			continue;
		hide_text(&transfer->response, space + 1);
		found = true;
	}
	if (!found)
		hide_member(transfer);
	if (request->basic_password != NULL)
	{
		char	   *pair = psprintf("%s:%s", request->basic_user, request->basic_password);
		int			size = pg_b64_enc_len(strlen(pair)) + 1;
		char	   *encoded = palloc0(size);

		if (rf_b64_encode(pair, strlen(pair), encoded, size) > 0)
			hide_text(&transfer->response, encoded);
		hide_text(&transfer->response, request->basic_password);
		explicit_bzero(pair, strlen(pair));
		explicit_bzero(encoded, size);
		pfree(pair);
		pfree(encoded);
	}
}

/* "Authorization: Bearer KEY", "x-api-key: KEY" */
static bool
holds_key(const char *header)
{
	static const char *const names[] = {"authorization:", "x-api-key:"};

	for (int i = 0; i < lengthof(names); i++)
		if (pg_strncasecmp(header, names[i], strlen(names[i])) == 0)
			return true;
	return false;
}

/*
 * Of a provider that takes its key in the body.  In a string of the body the
 * quotes would be escaped.
 */
static void
hide_member(RfTransfer *transfer)
{
	static const char *const names[] = {"\"key\":", "\"api_key\":"};
	const char *body = transfer->request.body;
	size_t		len = transfer->request.body_len;

	for (int i = 0; i < lengthof(names) && body != NULL; i++)
	{
		const char *at = memmem(body, len, names[i], strlen(names[i]));
		const char *from;
		const char *to;
		char	   *secret;

		if (at == NULL)
			continue;
		from = memchr(at + strlen(names[i]), '"', body + len - at - strlen(names[i]));
		to = from != NULL ? memchr(from + 1, '"', body + len - from - 1) : NULL;
		if (to == NULL)
			continue;
		secret = pnstrdup(from + 1, to - from - 1);
		hide_text(&transfer->response, secret);
		explicit_bzero(secret, strlen(secret));
		pfree(secret);
	}
}

static void
hide_text(RfResponse *response, const char *secret)
{
	if (strlen(secret) < SECRET_MIN_BYTES)
		return;					/* would tear holes into innocent words */
	if (response->body != NULL)
		overwrite_text(response->body, response->body_len, secret);
	for (size_t i = 0; i < response->nheaders; i++)
		overwrite_text(response->headers[i].value,
					   strlen(response->headers[i].value), secret);
}

static void
overwrite_text(char *data, size_t len, const char *secret)
{
	size_t		secret_len = strlen(secret);
	char	   *end = data + len;
	char	   *found;

	while ((found = memmem(data, end - data, secret, secret_len)) != NULL)
	{
		memset(found, '*', secret_len);
		data = found + secret_len;
	}
}
