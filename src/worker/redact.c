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

static void hide_text(RfResponse *response, const char *secret);
static void overwrite_text(char *data, size_t len, const char *secret);

void
rf_redact_answer(RfTransfer *transfer)
{
	static const char name[] = "Authorization: ";
	RfRequest  *request = &transfer->request;

	for (size_t i = 0; i < request->nheaders; i++)
	{
		const char *space;

		if (strncmp(request->headers[i], name, strlen(name)) != 0)
			continue;
		space = strrchr(request->headers[i], ' ');
		hide_text(&transfer->response, space + 1);
	}
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
