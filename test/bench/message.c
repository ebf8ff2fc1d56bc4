/*-------------------------------------------------------------------------
 *
 * message.c
 *	  Requests and answers of the bench's provider, as bytes.
 *
 *-------------------------------------------------------------------------
 */
#include <string.h>
#include <strings.h>

#include "provider.h"

#define REQUEST_LINE "POST /v3/mail/send "
#define LENGTH_HEADER "content-length:"
#define NUMBER_KEY "\"rf_job\":"

static size_t body_length(const char *headers, const char *end);

/* Headers and body; 0: not all of it is here yet. */
size_t
request_length(const char *request, size_t used)
{
	const char *end = memmem(request, used, "\r\n\r\n", 4);
	size_t		length;

	if (end == NULL)
		return 0;
	length = (size_t) (end - request) + 4 + body_length(request, end);
	return length <= used ? length : 0;
}

static size_t
body_length(const char *headers, const char *end)
{
	const char *line = headers;

	while ((line = memchr(line, '\n', (size_t) (end - line))) != NULL)
	{
		line++;
		if ((*line == 'c' || *line == 'C') &&
			strncasecmp(line, LENGTH_HEADER, strlen(LENGTH_HEADER)) == 0)
			return strtoul(line + strlen(LENGTH_HEADER), NULL, 10);
	}
	return 0;
}

bool
request_is_mail(const char *request)
{
	return strncmp(request, REQUEST_LINE, strlen(REQUEST_LINE)) == 0;
}

/* "rf_job": "installation.17", "17" or 17 are all number 17. */
uint64_t
request_number(const char *request, size_t length)
{
	const char *end = request + length;
	const char *at = memmem(request, length, NUMBER_KEY, strlen(NUMBER_KEY));
	uint64_t	number = UNNAMED;

	if (at == NULL)
		return UNNAMED;
	at += strlen(NUMBER_KEY);
	while (at < end && (*at == ' ' || *at == '"'))
		at++;
	for (; at < end && strchr("\",} \n", *at) == NULL; at++)
	{
		if (*at == '.')
			number = UNNAMED;
		else if (*at >= '0' && *at <= '9')
			number = (number == UNNAMED ? 0 : number) * 10 + (uint64_t) (*at - '0');
	}
	return number;
}

/* SendGrid's answer to a mail that it takes, another id each time. */
size_t
answer_text(const char **text)
{
	static const char letters[] =
		"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
	static char answer[] =
		"HTTP/1.1 202 Accepted\r\n"
		"Server: nginx\r\n"
		"Date: Thu, 01 Jan 2026 00:00:00 GMT\r\n"
		"Content-Length: 0\r\n"
		"Connection: keep-alive\r\n"
		"X-Message-Id: AAAAAAAAAAAAAAAAAAAAAA\r\n"
		"Strict-Transport-Security: max-age=600; includeSubDomains\r\n"
		"\r\n";
	static char *id = NULL;
	static uint64_t count = 0;
	uint64_t	rest = ++count;

	if (id == NULL)
		id = strstr(answer, "AAAAAAAAAA");
	for (int i = 21; i > 10; i--, rest /= 64)
		id[i] = letters[rest % 64];
	*text = answer;
	return sizeof(answer) - 1;
}
