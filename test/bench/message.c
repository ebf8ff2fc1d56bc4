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

#define MAIL_LINE "POST /v3/mail/send "
#define SEARCH_PATH "/mixed_people/"
#define LENGTH_HEADER "content-length:"
#define NUMBER_KEY "\"rf_job\":"

static size_t body_length(const char *headers, const char *end);
static size_t mail_taken(const char **text);
static size_t person_found(const char **text);

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

RequestKind
request_kind(const char *request)
{
	const char *end;

	if (strncmp(request, MAIL_LINE, strlen(MAIL_LINE)) == 0)
		return REQUEST_MAIL;
	end = strchr(request, '\n');
	if (memmem(request, (size_t) (end - request), SEARCH_PATH, strlen(SEARCH_PATH)) != NULL)
		return REQUEST_SEARCH;
	return REQUEST_STRANGE;
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

size_t
answer_text(RequestKind kind, const char **text)
{
	return kind == REQUEST_SEARCH ? person_found(text) : mail_taken(text);
}

/* SendGrid's answer to a mail that it takes, another id each time. */
static size_t
mail_taken(const char **text)
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

/* Apollo's answer to a search, as far as anybody reads it. */
static size_t
person_found(const char **text)
{
	static char answer[1024];
	static const char body[] =
		"{\"pagination\":{\"page\":1,\"per_page\":1,\"total_entries\":1,\"total_pages\":1},"
		"\"total_entries\":1,\"people\":[{\"id\":\"5f1e8b6c2d3a4b0001c0ffee\","
		"\"first_name\":\"Ada\",\"last_name\":\"Lovelace\",\"name\":\"Ada Lovelace\","
		"\"title\":\"CTO\",\"email\":\"ada@example.net\",\"email_status\":\"verified\","
		"\"organization\":{\"name\":\"Example\",\"primary_domain\":\"example.com\"}}],"
		"\"contacts\":[]}";
	static size_t length = 0;

	if (length == 0)
		length = (size_t) snprintf(answer, sizeof(answer),
								   "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
								   "Content-Length: %zu\r\nConnection: keep-alive\r\n\r\n%s",
								   strlen(body), body);
	*text = answer;
	return length;
}
