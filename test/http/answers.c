/*-------------------------------------------------------------------------
 *
 * answers.c
 *	  Transfers that are answered: in full, cut, oversized, strangely.
 *
 *-------------------------------------------------------------------------
 */
#include <stdlib.h>

#include "harness.h"

#define MANY	200

static void
test_plain_answer(void)
{
	RfTransfer	first;
	RfTransfer	second;

	request(&first, ports.server, "ok", "plain");
	is_end(&first, RF_TRANSFER_ANSWERED, "", "a request is answered, whatever proxy the environment names");
	is_int(first.response.status, 200, "with its status");
	is_text(first.response.body, "ok", "its body");
	is_text(rf_response_header(&first.response, "x-message-id"), "abc", "and its headers");
	ok(!first.response.truncated, "in full");
	ok(!first.reused, "on a new connection");
	ok(first.sent_us >= first.started_us && first.finished_us >= first.sent_us,
	   "and its times are in order");

	request(&second, ports.server, "ok", "plain");
	ok(second.end == RF_TRANSFER_ANSWERED && second.reused,
	   "the next one uses the connection again");
	is_int(seen("plain"), 2, "the server has seen both");
	rf_http_release(&first);
	rf_http_release(&second);
}

static void
test_no_reuse(void)
{
	RfHttpConfig config = usual_config();
	RfTransfer	transfer;

	config.reuse_max_idle_s = 1;
	configure(&config);
	request(&transfer, ports.server, "ok", "age");
	rf_http_release(&transfer);
	run_for(1100000);
	request(&transfer, ports.server, "ok", "age");
	ok(!transfer.reused, "a connection that was idle too long is not used");
	rf_http_release(&transfer);

	config.reuse_max_idle_s = 0;
	configure(&config);
	request(&transfer, ports.server, "ok", "age");
	ok(!transfer.reused, "nor is any, when none may be");
	rf_http_release(&transfer);
	config = usual_config();
	configure(&config);
}

/* A goodbye that lies in an idle connection is seen before it is used again. */
static void
test_departing_peer(void)
{
	int			answered = 0;

	for (int i = 0; i < 10; i++)
	{
		RfTransfer	transfer;

		request(&transfer, ports.server, "leave", "leave");
		answered += transfer.end == RF_TRANSFER_ANSWERED ? 1 : 0;
		rf_http_release(&transfer);
		run_for(i % 2 == 0 ? 100000 : 200000);
	}
	is_int(answered, 10, "a peer that closes between requests costs none");
}

static void
test_request(void)
{
	RfTransfer	transfer;

	prepare(&transfer, ports.server, "echo", "echo");
	ok(rf_request_set_basic(&transfer.request, "api", "key-123"), "a password is set");
	perform(&transfer);
	is_int(transfer.response.status, 200, "the server tells what it was sent");
	ok(strstr(transfer.response.body, "\r\nAuthorization: Basic YXBpOmtleS0xMjM=\r\n") != NULL,
	   "HTTP Basic is encoded");
	ok(strstr(transfer.response.body, "\r\n\r\n{\"subject\": \"hello\"}") != NULL,
	   "the body is as it was given");
	ok(strstr(transfer.response.body, "Expect") == NULL, "nothing is expected");
	ok(strstr(transfer.response.body, "Encoding") == NULL, "no encoding is accepted");
	rf_http_release(&transfer);

	prepare(&transfer, ports.server, "echo", "form");
	make_form(&transfer);
	perform(&transfer);
	ok(transfer.response.body != NULL &&
	   strstr(transfer.response.body, "Content-Type: multipart/form-data; boundary=") != NULL &&
	   strstr(transfer.response.body, "name=\"to\"\r\n\r\na@example.com\r\n") != NULL,
	   "fields go out as a form");
	ok(memmem(transfer.response.body, transfer.response.body_len, "\r\n\r\na\0b\r\nc\r\n", 12) != NULL,
	   "with any bytes in them");
	rf_http_release(&transfer);
}

/* A handle keeps what is alike for all, and nothing of a transfer's own. */
static void
test_kept_handle(void)
{
	RfHttpConfig config = usual_config();
	RfTransfer	transfer;

	prepare(&transfer, ports.server, "echo", "first?secret=1");
	ok(rf_request_set_basic(&transfer.request, "api", "key-123") &&
	   rf_request_add_header(&transfer.request, "X-Of-The-First", "1"), "one with headers of its own");
	perform(&transfer);
	is_int(transfer.response.status, 200, "is answered");
	rf_http_release(&transfer);

	prepare(&transfer, ports.server, "echo", "second");
	transfer.request.get = true;
	perform(&transfer);
	ok(transfer.response.body != NULL &&
	   strstr(transfer.response.body, "GET /echo/second HTTP/1.1\r\n") == transfer.response.body &&
	   strstr(transfer.response.body, "Authorization") == NULL &&
	   strstr(transfer.response.body, "X-Of-The-First") == NULL &&
	   strstr(transfer.response.body, "hello") == NULL, "and nothing of it is in the next");
	rf_http_release(&transfer);

	config.ca_file = "/nowhere/ca.pem";
	configure(&config);
	request(&transfer, ports.server, "echo", "third");
	is_end(&transfer, RF_TRANSFER_NOT_SENT, "the file of certificate authorities cannot be read",
		   "settings reach a handle that was used before");
	rf_http_release(&transfer);
	config = usual_config();
	configure(&config);
	request(&transfer, ports.server, "echo", "fourth");
	is_int(transfer.response.status, 200, "and so do the next ones");
	rf_http_release(&transfer);
	for (int i = 0; i < 3; i++)
	{
		const char *key = i < 2 ? "fifth" : "sixth";

		request(&transfer, ports.server, "echo", key);
		ok(transfer.response.body != NULL && strstr(transfer.response.body, key) != NULL,
		   "each has its own URL, be it that of the one before or not");
		rf_http_release(&transfer);
	}
}

static void
test_get(void)
{
	RfTransfer	transfer;

	prepare(&transfer, ports.server, "echo", "get?a=1");
	transfer.request.get = true;
	perform(&transfer);
	ok(transfer.response.body != NULL &&
	   strncmp(transfer.response.body, "GET /echo/get?a=1 HTTP/1.1\r\n", 28) == 0,
	   "a request may be a GET");
	ok(strstr(transfer.response.body, "hello") == NULL &&
	   strstr(transfer.response.body, "Content-Length") == NULL, "which has no body");
	rf_http_release(&transfer);

	prepare(&transfer, ports.server, "echo", "post");
	perform(&transfer);
	ok(transfer.response.body != NULL && strncmp(transfer.response.body, "POST ", 5) == 0,
	   "the next one on that connection is a POST again");
	rf_http_release(&transfer);
}

static void
test_large_body(bool form)
{
	RfTransfer	transfer;
	size_t		len = 3000000;
	char	   *data = malloc(len);
	RfHttpConfig config = usual_config();

	config.max_body_bytes = 4000000;
	configure(&config);
	memset(data, 'm', len);
	prepare(&transfer, ports.server, "echo", "large");
	if (form)
	{
		make_form(&transfer);
		ok(rf_request_add_field(&transfer.request, "html", data, len), "a large field");
		free(data);
	}
	else
	{
		free(transfer.request.body);
		transfer.request.body = data;
		transfer.request.body_len = len;
	}
	perform(&transfer);
	ok(transfer.response.status == 200 && transfer.response.body_len > len,
	   "a large %s goes out and comes back", form ? "form" : "body");
	rf_http_release(&transfer);
	config = usual_config();
	configure(&config);
}

static void
test_many(void)
{
	RfTransfer *transfers = calloc(MANY, sizeof(RfTransfer));
	RfTransfer *pointers[MANY];
	int			answered = 0;

	for (int i = 0; i < MANY; i++)
	{
		pointers[i] = &transfers[i];
		prepare(pointers[i], ports.server, "ok", "many");
		rf_http_start(engine, pointers[i], clock_us());
	}
	run_until_finished(pointers, MANY);
	for (int i = 0; i < MANY; i++)
	{
		answered += transfers[i].end == RF_TRANSFER_ANSWERED &&
			transfers[i].response.status == 200 ? 1 : 0;
		rf_http_release(&transfers[i]);
	}
	is_int(answered, MANY, "200 at once are all answered");
	is_int(seen("many"), MANY, "each was sent once");
	free(transfers);
}

static void
test_few_connections(void)
{
	RfHttpConfig config = usual_config();
	RfTransfer	transfers[20];
	RfTransfer *pointers[20];
	int			answered = 0;
	int			before = open_descriptors();

	config.max_connections = 3;
	configure(&config);
	for (int i = 0; i < 20; i++)
	{
		pointers[i] = &transfers[i];
		prepare(pointers[i], ports.server, "ok", "few");
		rf_http_start(engine, pointers[i], clock_us());
	}
	ok(open_descriptors() <= before + 3, "no more connections are opened than may be");
	run_until_finished(pointers, 20);
	for (int i = 0; i < 20; i++)
	{
		answered += transfers[i].response.status == 200 ? 1 : 0;
		rf_http_release(&transfers[i]);
	}
	is_int(answered, 20, "the others wait for one");
	config = usual_config();
	configure(&config);
}

/* The peer has decided; what breaks afterwards only cuts the answer. */
static void
test_cut_answers(void)
{
	static const struct
	{
		const char *behaviour;
		int			status;
		const char *what;
	}			cases[] = {
		{"reset_after", 202, "a reset after the status line"},
		{"cut", 202, "a body shorter than announced"},
		{"huge", 200, "100 MB"},
		{"endless", 200, "an endless body"},
		{"many_headers", 200, "10,000 headers"},
		{"long_header", 200, "a header line of 1 MB"}
	};
	RfTransfer	transfer;

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
	{
		request(&transfer, ports.server, cases[i].behaviour, cases[i].behaviour);
		ok(transfer.end == RF_TRANSFER_ANSWERED &&
		   transfer.response.status == cases[i].status &&
		   transfer.response.truncated, "%s is an answer, truncated", cases[i].what);
		ok(transfer.response.body_len <= 64 * 1024 &&
		   transfer.response.nheaders <= RF_RESPONSE_MAX_HEADERS, "and bounded");
		is_int(seen(cases[i].behaviour), 1, "and sent once");
		rf_http_release(&transfer);
	}
	request(&transfer, ports.server, "cut", "cut_body");
	is_text(transfer.response.body, "0123456789", "what came of a cut body is kept");
	rf_http_release(&transfer);
	request(&transfer, ports.server, "huge", "huge_body");
	is_int((int64_t) transfer.response.body_len, 64 * 1024, "of a large one the first bytes");
	rf_http_release(&transfer);

	prepare(&transfer, ports.server, "huge", "huge_asked");
	transfer.request.answer_bytes = 300000;
	perform(&transfer);
	ok(transfer.response.truncated, "more can be asked for");
	is_int((int64_t) transfer.response.body_len, 300000, "and so much is kept");
	rf_http_release(&transfer);
	prepare(&transfer, ports.server, "huge", "huge_less");
	transfer.request.answer_bytes = 10;
	perform(&transfer);
	is_int((int64_t) transfer.response.body_len, 64 * 1024, "but not less than is usual");
	rf_http_release(&transfer);
}

static void
test_strange_answers(void)
{
	RfTransfer	transfer;

	request(&transfer, ports.server, "interim", "interim");
	is_int(transfer.response.status, 200, "interim answers are passed over");
	ok(rf_response_header(&transfer.response, "X-Interim") == NULL, "with their headers");
	rf_http_release(&transfer);

	request(&transfer, ports.server, "interim_only", "interim_only");
	is_end(&transfer, RF_TRANSFER_AMBIGUOUS, "connection closed before an answer",
		   "an interim answer alone is none");
	is_int(transfer.response.status, 0, "and leaves no status");
	rf_http_release(&transfer);

	request(&transfer, ports.server, "garbage", "garbage");
	is_end(&transfer, RF_TRANSFER_AMBIGUOUS, "the answer is not HTTP", "garbage is no answer");
	rf_http_release(&transfer);

	request(&transfer, ports.server, "long_status", "long_status");
	ok(transfer.end == RF_TRANSFER_AMBIGUOUS, "nor is a status line of 1 MB");
	rf_http_release(&transfer);

	request(&transfer, ports.server, "redirect", "moved");
	is_int(transfer.response.status, 307, "a redirect is an answer");
	is_int(seen("followed-moved"), 0, "and is not followed");
	rf_http_release(&transfer);

	request(&transfer, ports.server, "trailer", "trailer");
	is_text(rf_response_header(&transfer.response, "X-Message-Id"), "head",
			"a trailer overrules no header");
	is_text(transfer.response.body, "ok", "a chunked body is put together");
	rf_http_release(&transfer);

	request(&transfer, ports.server, "gzip", "gzip");
	ok(transfer.response.body_len == 4 && !transfer.response.truncated,
	   "a compressed body is left as it is");
	rf_http_release(&transfer);

	request(&transfer, ports.server, "old", "old");
	is_text(transfer.response.body, "until the end", "a body may end with the connection");
	ok(!transfer.response.truncated, "and is whole then");
	rf_http_release(&transfer);
}

void
test_answers(void)
{
	test_plain_answer();
	test_no_reuse();
	test_departing_peer();
	test_request();
	test_get();
	test_kept_handle();
	test_large_body(false);
	test_large_body(true);
	test_many();
	test_few_connections();
	test_cut_answers();
	test_strange_answers();
}
