/* Datagrams that an agent understands, whatever stands in tags. */
#include <string.h>

#include "core/dogstatsd.h"
#include "tap.h"

static char sent[256 * 1024];
static size_t sent_len;
static int	ndatagrams;
static size_t longest;

static void
receive(void *context, const char *data, size_t len)
{
	(void) context;
	if (sent_len > 0)
		sent[sent_len++] = '\n';
	memcpy(sent + sent_len, data, len);
	sent_len += len;
	sent[sent_len] = '\0';
	ndatagrams++;
	longest = len > longest ? len : longest;
}

static void
begin(RfStatsd *statsd, size_t max)
{
	sent_len = 0;
	sent[0] = '\0';
	ndatagrams = 0;
	longest = 0;
	rf_statsd_init(statsd, max, receive, NULL);
}

static void
test_lines(void)
{
	RfStatsd	statsd;
	RfStatsdTags tags = {""};
	int64_t		us[3] = {12345, 0, 1000};

	begin(&statsd, RF_STATSD_UDP_MAX);
	rf_statsd_count(&statsd, "roleferry.apollo.calls", 3, NULL);
	rf_statsd_tag(&tags, "endpoint", "search_people");
	rf_statsd_tag(&tags, "status", "success");
	rf_statsd_count(&statsd, "roleferry.apollo.calls", 1, &tags);
	rf_statsd_gauge(&statsd, "roleferry.unknown", -2, NULL);
	rf_statsd_durations(&statsd, "roleferry.apollo.latency", us, 3, &tags);
	is_int(ndatagrams, 0, "nothing leaves before it must");
	rf_statsd_flush(&statsd);
	is_text(sent,
			"roleferry.apollo.calls:3|c\n"
			"roleferry.apollo.calls:1|c|#endpoint:search_people,status:success\n"
			"roleferry.unknown:-2|g\n"
			"roleferry.apollo.latency:12.345:0.000:1.000|h|#endpoint:search_people,status:success",
			"lines have their types and tags");
	is_int(ndatagrams, 1, "in one datagram");
	rf_statsd_flush(&statsd);
	is_int(ndatagrams, 1, "and nothing is sent for nothing");

	begin(&statsd, RF_STATSD_UDP_MAX);
	strcpy(statsd.common, "env:prod");
	rf_statsd_count(&statsd, "a", 1, NULL);
	rf_statsd_count(&statsd, "a", 1, &tags);
	rf_statsd_flush(&statsd);
	is_text(sent, "a:1|c|#env:prod\na:1|c|#endpoint:search_people,status:success,env:prod",
			"common tags follow each line's own");
}

static void
test_tags(void)
{
	RfStatsdTags tags = {""};
	char		long_value[1000];

	rf_statsd_tag(&tags, "account", "Send|Grid,#2\nx:1|c");
	is_text(tags.text, "account:send_grid__2_x:1_c", "what would begin something else becomes _");
	rf_statsd_tag(&tags, "queue", "");
	rf_statsd_tag(&tags, "1st", "x");
	is_text(tags.text, "account:send_grid__2_x:1_c", "without a value, or a letter first, there is no tag");

	tags.text[0] = '\0';
	rf_statsd_tag(&tags, "q", "\303\274ber\377");
	is_text(tags.text, "q:__ber_", "what is not ASCII becomes _, valid or not");

	memset(long_value, 'x', sizeof(long_value));
	long_value[sizeof(long_value) - 1] = '\0';
	tags.text[0] = '\0';
	rf_statsd_tag(&tags, "k", long_value);
	is_int((int64_t) strlen(tags.text), RF_STATSD_TAG_MAX, "a tag is cut at its longest");
	for (int i = 0; i < 10; i++)
		rf_statsd_tag(&tags, "k", long_value);
	ok(strlen(tags.text) < sizeof(tags.text), "and left out where there is no room");

	tags.text[0] = '\0';
	rf_statsd_tag_list(&tags, "env:Prod, team:sales ops,,bare, :x,k:v:w");
	is_text(tags.text, "env:prod,team:sales_ops,k:v:w", "a list as people write it");
}

static void
test_sizes(void)
{
	RfStatsd	statsd;
	static int64_t us[5000];
	size_t		values = 0;

	for (int i = 0; i < 5000; i++)
		us[i] = INT64_C(1234567) * (i + 1);
	begin(&statsd, RF_STATSD_UDP_MAX);
	rf_statsd_durations(&statsd, "roleferry.sendgrid.latency", us, 5000, NULL);
	for (int i = 0; i < 1000; i++)
		rf_statsd_count(&statsd, "roleferry.sendgrid.calls", i, NULL);
	rf_statsd_flush(&statsd);
	for (const char *c = strchr(sent, ':'); c != NULL; c = strchr(c + 1, ':'))
		values++;
	is_int((int64_t) values, 6000, "every value is there");
	ok(longest <= RF_STATSD_UDP_MAX, "no datagram is longer than allowed");
	ok(ndatagrams > 30 && ndatagrams < 80, "and few are needed");
	ok(strstr(sent, "\n\n") == NULL && sent[sent_len - 1] != '\n', "no line is empty");

	begin(&statsd, 20);
	rf_statsd_count(&statsd, "a.name.that.is.longer.than.that", 1, NULL);
	rf_statsd_flush(&statsd);
	is_int(ndatagrams, 0, "a line that never fits is left out");
}

static void
test_targets(void)
{
	RfStatsdTarget target;
	static const char *const bad[] = {
		"localhost:8125", "127.0.0.1", "127.0.0.1:", "127.0.0.1:0", "127.0.0.1:65536",
		"127.0.0.1:81x", ":8125", "[::1:8125", "::1:8125:", "[127.0.0.1]:1", "unix://x", "udp:///run/s",
		"/a/path/that/is/too/long/for/a/socket/address/a/path/that/is/too/long/for/a/socket/address/and/then/some/more"
	};
	int			wrong = 0;

	ok(rf_statsd_target_parse("", &target) && target.transport == RF_STATSD_NONE, "empty: nowhere");
	ok(rf_statsd_target_parse("127.0.0.1:8125", &target) && target.transport == RF_STATSD_UDP &&
	   target.port == 8125 && !target.v6, "an address and a port");
	is_text(target.host, "127.0.0.1", "its host");
	ok(rf_statsd_target_parse("udp://[::1]:8125", &target) && target.v6, "IPv6 in brackets");
	is_text(target.host, "::1", "without the brackets");
	ok(rf_statsd_target_parse("/run/dsd.socket", &target) && target.transport == RF_STATSD_UNIX, "a path");
	ok(rf_statsd_target_parse("unix:///run/dsd.socket", &target), "as Datadog's own clients write it");
	is_text(target.path, "/run/dsd.socket", "which is a path, too");
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		wrong += rf_statsd_target_parse(bad[i], &target) ? 1 : 0;
	is_int(wrong, 0, "everything else is refused");
}

int
main(void)
{
	test_lines();
	test_tags();
	test_sizes();
	test_targets();
	return done_testing();
}
