/*-------------------------------------------------------------------------
 *
 * failures.c
 *	  Transfers that fail: before anything left, or when nobody can know.
 *
 *-------------------------------------------------------------------------
 */
#include <stdlib.h>
#include <sys/resource.h>
#include <unistd.h>

#include "harness.h"

static const char not_twice[] = "connection closed before an answer; not sent again";

static void
test_refused(void)
{
	RfTransfer	transfer;

	prepare_url(&transfer, "https://localhost:1/ok/refused");
	perform(&transfer);
	is_end(&transfer, RF_TRANSFER_NOT_SENT, "connection refused", "nobody listens");
	ok(transfer.sent_us == 0 && !transfer.timed_out, "and nothing was sent");
	rf_http_release(&transfer);

	prepare_url(&transfer, "gopher://localhost/");
	ok(!rf_http_start(engine, &transfer, clock_us()), "another scheme is not started");
	is_end(&transfer, RF_TRANSFER_NOT_SENT, "not an http or https URL", "and says why");
	ok(rf_http_next_finished(engine) == NULL, "and is not handed out again");
	rf_http_release(&transfer);

	prepare_url(&transfer, "https://user@localhost/");
	ok(!rf_http_start(engine, &transfer, clock_us()), "nor is a URL with a user in it");
	rf_http_release(&transfer);

	prepare(&transfer, ports.server, "ok", "broken-header");
	transfer.request.headers[0][10] = '\n';
	ok(!rf_http_start(engine, &transfer, clock_us()), "nor a header with a line break");
	rf_http_release(&transfer);
}

/*
 * The C library refuses the name by itself: a label has at most 63 bytes.  The
 * next transfer, whatever its host, gets the handle that this one had.
 */
static void
test_unresolved(void)
{
	RfTransfer	transfer;

	prepare_url(&transfer,
				"https://a234567890123456789012345678901234567890123456789012345678901234.test/");
	perform(&transfer);
	is_end(&transfer, RF_TRANSFER_NOT_SENT, "the host's name could not be resolved",
		   "a name that does not exist");
	rf_http_release(&transfer);
	request(&transfer, ports.server, "ok", "after-unresolved");
	is_end(&transfer, RF_TRANSFER_ANSWERED, "", "the transfer after it is not harmed");
	rf_http_release(&transfer);
}

/* The first request makes the connection, the second meets its end. */
static void
test_sent_once(bool form)
{
	const char *key = form ? "once-form" : "once-body";
	RfTransfer	transfer;

	request(&transfer, ports.server, "ok", "warm");
	rf_http_release(&transfer);
	prepare(&transfer, ports.server, "drop", key);
	if (form)
		make_form(&transfer);
	perform(&transfer);
	is_end(&transfer, RF_TRANSFER_AMBIGUOUS, not_twice,
		   "a kept-alive connection that closes after the request is ambiguous");
	ok(transfer.reused, "it was a kept-alive connection");
	run_for(100000);
	is_int(seen(key), 1, "the server has seen the request exactly once");
	rf_http_release(&transfer);

	/* The same while another idle connection is there to be tried. */
	prepare(&transfer, ports.server, "ok", "warm");
	if (form)
		make_form(&transfer);
	perform(&transfer);
	rf_http_release(&transfer);
}

static void
test_ambiguous(void)
{
	RfTransfer	transfer;
	RfTransfer	two[2];
	RfTransfer *pointers[2] = {&two[0], &two[1]};

	request(&transfer, ports.selfsigned, "ok", "never");
	rf_http_release(&transfer);
	request(&transfer, ports.server, "reset", "reset");
	ok(transfer.end == RF_TRANSFER_AMBIGUOUS && transfer.sent_us > 0,
	   "a reset before the status line is ambiguous");
	run_for(100000);
	is_int(seen("reset"), 1, "and is not sent again");
	rf_http_release(&transfer);

	/* Two idle connections: the second attempt would need no new one. */
	for (int i = 0; i < 2; i++)
	{
		prepare(pointers[i], ports.server, "slow", "pair");
		rf_http_start(engine, pointers[i], clock_us());
	}
	run_until_finished(pointers, 2);
	rf_http_release(&two[0]);
	rf_http_release(&two[1]);
	request(&transfer, ports.server, "drop", "spare");
	is_end(&transfer, RF_TRANSFER_AMBIGUOUS, not_twice, "nor on a spare connection");
	run_for(100000);
	is_int(seen("spare"), 1, "not even a byte of it");
	rf_http_release(&transfer);
}

static void
test_timeouts(void)
{
	RfHttpConfig config = usual_config();
	RfTransfer	transfer;

	config.connect_timeout_us = 700000;
	configure(&config);
	request(&transfer, ports.tarpit, "ok", "tarpit");
	is_end(&transfer, RF_TRANSFER_NOT_SENT, "no connection within the connect timeout",
		   "a peer that never shakes hands was sent nothing");
	ok(transfer.timed_out, "it timed out");
	took(&transfer, 700, "by the connect timeout");
	rf_http_release(&transfer);

	config.total_timeout_us = 900000;
	config.idle_timeout_us = 500000;
	configure(&config);
	request(&transfer, ports.server, "drip_head", "drip_head");
	is_end(&transfer, RF_TRANSFER_AMBIGUOUS, "no complete answer within the total timeout",
		   "a status line in drips");
	took(&transfer, 900, "ends by the total timeout");
	rf_http_release(&transfer);

	request(&transfer, ports.server, "drip_body", "drip_body");
	is_end(&transfer, RF_TRANSFER_ANSWERED, "", "a body in drips is an answer");
	ok(transfer.timed_out && transfer.response.truncated, "truncated and timed out");
	took(&transfer, 900, "by the total timeout");
	rf_http_release(&transfer);

	request(&transfer, ports.server, "silent", "silent");
	ok(transfer.end == RF_TRANSFER_ANSWERED && transfer.response.truncated &&
	   transfer.response.status == 202, "a body that stops is an answer, truncated");
	took(&transfer, 500, "by the idle timeout");
	rf_http_release(&transfer);

	request(&transfer, ports.server, "hang", "hang-idle");
	is_end(&transfer, RF_TRANSFER_AMBIGUOUS, "no byte within the idle timeout",
		   "silence is ambiguous");
	took(&transfer, 500, "after the idle timeout");
	rf_http_release(&transfer);

	config.idle_timeout_us = 0;
	configure(&config);
	request(&transfer, ports.server, "hang", "hang");
	is_end(&transfer, RF_TRANSFER_AMBIGUOUS, "no complete answer within the total timeout",
		   "a request without an answer is ambiguous");
	took(&transfer, 900, "after the total timeout");
	rf_http_release(&transfer);
	is_int(seen("hang"), 1, "it was sent once");

	config = usual_config();
	configure(&config);
	request(&transfer, ports.server, "ok", "after-timeouts");
	ok(transfer.response.status == 200, "no connection that timed out is used again");
	rf_http_release(&transfer);
}

static void
test_certificates(void)
{
	RfTransfer	transfer;
	RfHttpConfig config = usual_config();

	request(&transfer, ports.selfsigned, "ok", "selfsigned");
	is_end(&transfer, RF_TRANSFER_NOT_SENT, "the certificate is of no trusted authority",
		   "an unknown authority is refused");
	rf_http_release(&transfer);
	request(&transfer, ports.expired, "ok", "expired");
	is_end(&transfer, RF_TRANSFER_NOT_SENT, "the certificate has expired",
		   "an expired certificate is refused");
	rf_http_release(&transfer);
	request(&transfer, ports.wronghost, "ok", "wronghost");
	is_end(&transfer, RF_TRANSFER_NOT_SENT, "the certificate is for another host",
		   "another host's certificate is refused");
	rf_http_release(&transfer);
	is_int(seen("selfsigned") + seen("expired") + seen("wronghost"), 0,
		   "none of them has seen a request");

	config.ca_file = "/nonexistent/ca.pem";
	configure(&config);
	request(&transfer, ports.server, "ok", "no-ca");
	is_end(&transfer, RF_TRANSFER_NOT_SENT, "the file of certificate authorities cannot be read",
		   "without authorities nothing is sent, not on an old connection either");
	rf_http_release(&transfer);
	config = usual_config();
	configure(&config);
}

static bool
copy_file(const char *from, const char *to)
{
	char		command[9000];

	snprintf(command, sizeof(command), "cat '%s/%s' > '%s/%s'", work_directory,
			 from, work_directory, to);
	return system(command) == 0;
}

static void
test_replaced_authorities(void)
{
	char		path[4096];
	RfTransfer	transfer;
	RfHttpConfig config = usual_config();

	snprintf(path, sizeof(path), "%s/copy.pem", work_directory);
	config.ca_file = path;
	ok(copy_file("ca.pem", "copy.pem"), "a file of authorities is made");
	configure(&config);
	request(&transfer, ports.server, "ok", "ca-before");
	is_int(transfer.response.status, 200, "and accepts the server");
	rf_http_release(&transfer);

	ok(copy_file("selfsigned.pem", "copy.pem"), "the file is replaced");
	configure(&config);
	request(&transfer, ports.server, "ok", "ca-after");
	is_end(&transfer, RF_TRANSFER_NOT_SENT, "the certificate is of no trusted authority",
		   "after a reload its old content counts no more");
	rf_http_release(&transfer);
	request(&transfer, ports.selfsigned, "ok", "ca-new");
	is_int(transfer.response.status, 200, "its new content does");
	rf_http_release(&transfer);
	config = usual_config();
	configure(&config);
}

static void
test_insecure(void)
{
	RfTransfer	transfer;
	RfHttpConfig config = usual_config();
	char		list[64];

	prepare(&transfer, ports.plain, "ok", "plain-http");
	ok(!rf_http_start(engine, &transfer, clock_us()), "http is not started");
	is_end(&transfer, RF_TRANSFER_NOT_SENT, "the host may only be spoken to by https",
		   "and says why");
	rf_http_release(&transfer);

	config.allow_insecure_hosts = "localhost:1, example.com";
	configure(&config);
	request(&transfer, ports.plain, "ok", "plain-http");
	ok(transfer.end == RF_TRANSFER_NOT_SENT, "another port is another host");
	rf_http_release(&transfer);
	is_int(seen("plain-http"), 0, "the server has seen no request");

	snprintf(list, sizeof(list), "example.com, LOCALHOST:%d", ports.plain);
	config.allow_insecure_hosts = list;
	configure(&config);
	request(&transfer, ports.plain, "ok", "plain-http");
	is_int(transfer.response.status, 200, "a host that is listed may be spoken to by http");
	rf_http_release(&transfer);
	config = usual_config();
	configure(&config);
}

static void
test_private(void)
{
	static const char *const urls[] = {
		"https://localhost:%d/ok/private", "https://127.0.0.1:%d/ok/private",
		"https://[::1]:%d/ok/private", "https://[::ffff:127.0.0.1]:%d/ok/private",
		"https://0.0.0.0:%d/ok/private", "https://2130706433:%d/ok/private",
		"https://127.1:%d/ok/private"
	};
	RfHttpConfig config = usual_config();
	char		url[128];
	RfTransfer	transfer;

	config.allow_private_addresses = "10.0.0.0/8";
	configure(&config);
	for (size_t i = 0; i < sizeof(urls) / sizeof(urls[0]); i++)
	{
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
		snprintf(url, sizeof(url), urls[i], ports.server + 0);
#pragma GCC diagnostic pop
		prepare_url(&transfer, url);
		rf_request_add_header(&transfer.request, "X-Fresh", "1");
		/* Kept-alive connections of before were allowed: use none of them. */
		config.reuse_max_idle_s = 0;
		configure(&config);
		perform(&transfer);
		is_end(&transfer, RF_TRANSFER_NOT_SENT, "address of the host is private", url);
		rf_http_release(&transfer);
	}
	is_int(seen("private"), 0, "the server has seen no request");

	config.allow_private_addresses = "127.0.0.1/33";
	ok(!rf_http_configure(engine, &config), "a list that is not understood is refused");
	config = usual_config();
	configure(&config);
}

static void
test_proxy(void)
{
	RfHttpConfig config = usual_config();
	char		proxy[64];
	RfTransfer	transfer;

	snprintf(proxy, sizeof(proxy), "http://127.0.0.1:%d", ports.proxy);
	config.proxy = proxy;
	configure(&config);
	request(&transfer, ports.server, "ok", "proxied-request");
	is_int(transfer.response.status, 200, "a request goes through the proxy");
	ok(rf_response_header(&transfer.response, "X-Proxy") == NULL,
	   "whose own answer is no part of the answer");
	is_int(seen("proxied"), 1, "which has seen it");
	ok(!transfer.reused, "no connection from before the proxy was used");
	rf_http_release(&transfer);

	prepare_url(&transfer, "https://localhost:1/ok/forbidden");
	perform(&transfer);
	is_end(&transfer, RF_TRANSFER_NOT_SENT, "the proxy refused the connection",
		   "what the proxy refuses was not sent");
	rf_http_release(&transfer);

	config.allow_private_addresses = "";
	config.reuse_max_idle_s = 0;
	configure(&config);
	request(&transfer, ports.server, "ok", "private-proxy");
	is_end(&transfer, RF_TRANSFER_NOT_SENT, "address of the host is private",
		   "the proxy's address is judged, too");
	rf_http_release(&transfer);
	config = usual_config();
	configure(&config);
}

static void
test_giving_up(void)
{
	RfTransfer	transfer;

	prepare(&transfer, ports.server, "hang", "abort");
	ok(rf_http_start(engine, &transfer, clock_us()), "a transfer is started");
	run_for(300000);
	rf_http_abort(engine, &transfer, "the server is shutting down", clock_us());
	is_end(&transfer, RF_TRANSFER_AMBIGUOUS, "the server is shutting down",
		   "given up after it was sent, it is ambiguous");
	ok(rf_http_next_finished(engine) == &transfer, "and is handed out");
	ok(rf_http_next_finished(engine) == NULL, "once");
	rf_http_release(&transfer);

	prepare(&transfer, ports.tarpit, "ok", "abort");
	rf_http_start(engine, &transfer, clock_us());
	run_for(50000);
	rf_http_abort(engine, &transfer, "the server is shutting down", clock_us());
	is_end(&transfer, RF_TRANSFER_NOT_SENT, "the server is shutting down",
		   "given up before, it was not sent");
	rf_http_release(&transfer);
	ok(rf_http_next_finished(engine) == NULL, "released, it is not handed out");

	prepare(&transfer, ports.server, "hang", "release");
	rf_http_start(engine, &transfer, clock_us());
	rf_http_release(&transfer);
	is_int(rf_http_in_flight(engine), 0, "released in flight, it is given up");
}

/* A limit below what is open already: nothing more can be. */
static void
test_starved(void)
{
	struct rlimit usual;
	struct rlimit low;
	RfTransfer	transfer;
	int			kept;

	request(&transfer, ports.server, "ok", "before-starved");
	rf_http_release(&transfer);
	kept = open_descriptors();
	getrlimit(RLIMIT_NOFILE, &usual);
	low = usual;
	low.rlim_cur = 4;
	setrlimit(RLIMIT_NOFILE, &low);
	request(&transfer, ports.expired, "ok", "starved");
	setrlimit(RLIMIT_NOFILE, &usual);
	is_end(&transfer, RF_TRANSFER_NOT_SENT, "too many open files", "without a descriptor nothing is sent");
	ok(transfer.starved, "and the host is not to blame");
	rf_http_release(&transfer);

	setrlimit(RLIMIT_NOFILE, &low);
	run_for(1500000);
	setrlimit(RLIMIT_NOFILE, &usual);
	ok(open_descriptors() < kept, "an idle engine gives up its connections then");
	request(&transfer, ports.server, "ok", "after-starved");
	is_end(&transfer, RF_TRANSFER_ANSWERED, "", "and makes new ones");
	ok(!transfer.starved, "when it may");
	rf_http_release(&transfer);

	request(&transfer, ports.expired, "ok", "not-starved");
	ok(transfer.end == RF_TRANSFER_NOT_SENT && !transfer.starved, "another failure is the host's");
	rf_http_release(&transfer);
}

void
test_failures(void)
{
	test_refused();
	test_unresolved();
	test_sent_once(false);
	test_sent_once(true);
	test_ambiguous();
	test_timeouts();
	test_certificates();
	test_replaced_authorities();
	test_insecure();
	test_private();
	test_proxy();
	test_giving_up();
	test_starved();
}
