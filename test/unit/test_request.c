/* Requests and responses as data: what gets in, what is refused, the caps. */
#include <stdlib.h>

#include "codec/request.h"
#include "tap.h"

static void
test_request(void)
{
	RfRequest	request = {0};
	bool		good = true;

	ok(rf_request_set_url(&request, "https://old.example/") &&
	   rf_request_set_url(&request, "https://new.example/"), "a URL can be set twice");
	is_text(request.url, "https://new.example/", "the last URL stands");

	ok(rf_request_add_header(&request, "Accept", "a/b"), "a header is added");
	is_text(request.headers[0], "Accept: a/b", "it is one line");
	ok(!rf_request_add_header(&request, "X-A", "b\r\nX-Evil: 1"), "a line break in a value is refused");
	ok(!rf_request_add_header(&request, "X-A: b\r\nX-B", "c"), "a line break in a name is refused");
	ok(!rf_request_add_header(&request, "", "c"), "a header needs a name");
	is_int((int64_t) request.nheaders, 1, "what was refused is not there");

	ok(rf_request_set_basic(&request, "api", "one") &&
	   rf_request_set_basic(&request, "api", "two"), "credentials can be replaced");
	is_text(request.basic_password, "two", "the last password stands");

	for (int i = 0; i < 100; i++)
		good = good && rf_request_add_field(&request, "f", "v\0w", 3) &&
			rf_request_add_header(&request, "X-N", "1");
	ok(good && request.nfields == 100 && request.nheaders == 101, "many fields and headers fit");
	ok(memcmp(request.fields[99].value, "v\0w", 3) == 0 &&
	   request.fields[99].value_len == 3, "a field may hold NUL");
	ok(rf_request_add_field(&request, "empty", NULL, 0), "a field may be empty");

	request.body = strdup("body");
	request.body_len = 4;
	rf_request_free(&request);
	ok(request.url == NULL && request.nheaders == 0 && request.nfields == 0 &&
	   request.body == NULL, "freeing empties the struct");
}

static bool
add_line(RfResponse *response, const char *line)
{
	return rf_response_add_header(response, line, strlen(line));
}

static void
test_response(void)
{
	RfResponse	response = {0};

	ok(add_line(&response, "HTTP/1.1 200 OK\r\n") && add_line(&response, "\r\n") &&
	   add_line(&response, " folded: x\r\n") && add_line(&response, "nonsense") &&
	   add_line(&response, ": no name\r\n") && add_line(&response, ""),
	   "lines that are no header are passed over");
	is_int((int64_t) response.nheaders, 0, "and leave nothing");
	ok(rf_response_header(&response, "X") == NULL, "an absent header is NULL");

	add_line(&response, "Retry-After: \t 12 \t\r\n");
	is_text(rf_response_header(&response, "retry-AFTER"), "12",
			"names are compared without case, values trimmed");
	add_line(&response, "retry-after:34");
	is_text(rf_response_header(&response, "Retry-After"), "34", "the last of a name wins");
	add_line(&response, "Empty:\r\n");
	is_text(rf_response_header(&response, "Empty"), "", "a value may be empty");
	add_line(&response, "Time: 10:20:30\n");
	is_text(rf_response_header(&response, "Time"), "10:20:30", "a value may hold colons");
	ok(rf_response_add_header(&response, "Bad: a\0b\r\n", 10) &&
	   rf_response_header(&response, "Bad") == NULL, "a header with NUL is passed over");
	ok(!response.truncated, "none of this is a cut answer");
	rf_response_free(&response);
}

static void
test_caps(void)
{
	RfResponse	response = {0};
	char	   *line = malloc(40000);
	int			kept = 0;

	for (int i = 0; i < 200; i++)
		kept += add_line(&response, "X-N: 1\r\n") ? 1 : 0;
	is_int(kept, RF_RESPONSE_MAX_HEADERS, "headers past the cap are not kept");
	ok(response.truncated, "and the answer counts as cut");
	rf_response_free(&response);

	memset(line, 'x', 40000);
	memcpy(line, "X-Long: ", 8);
	ok(rf_response_add_header(&response, line, 40000), "40 kB of headers fit");
	ok(!rf_response_add_header(&response, line, 40000), "80 kB do not");
	ok(add_line(&response, "X-Small: 1"), "a small one still does");
	rf_response_free(&response);
	ok(response.headers == NULL && !response.truncated, "freeing empties the struct");
	free(line);
}

int
main(void)
{
	test_request();
	test_response();
	test_caps();
	return done_testing();
}
