/* Which task names a route's pattern means. */
#include <string.h>

#include "core/glob.h"
#include "tap.h"

static void
test_words(void)
{
	ok(rf_glob_match("send_email", "send_email"), "a name matches itself");
	ok(!rf_glob_match("send_email", "send_emails"), "and none that is longer");
	ok(!rf_glob_match("send_emails", "send_email"), "nor one that is shorter");
	ok(!rf_glob_match("send.email", "send_email"), "a dot is a dot");
	ok(!rf_glob_match("send?email", "send_email"), "a question mark is one");
	ok(!rf_glob_match("[s]end", "send"), "a bracket is one");
	ok(!rf_glob_match("Send", "send"), "case counts");
	ok(rf_glob_match("", ""), "nothing matches nothing");
	ok(!rf_glob_match("", "a"), "and nothing else");
}

static void
test_stars(void)
{
	ok(rf_glob_match("*", ""), "an asterisk stands for nothing");
	ok(rf_glob_match("*", "app.services.enrichment.run"), "and for everything, dots included");
	ok(rf_glob_match("analytics.*", "analytics.rollup"), "at the end");
	ok(rf_glob_match("analytics.*", "analytics.a.b.c"), "over dots");
	ok(!rf_glob_match("analytics.*", "analytics"), "the dot before it must be there");
	ok(!rf_glob_match("analytics.*", "web.analytics.rollup"), "so must the beginning");
	ok(rf_glob_match("*.rollup", "analytics.daily.rollup"), "at the beginning");
	ok(rf_glob_match("a*b*c", "aXbXbXc"), "several, each as long as it takes");
	ok(!rf_glob_match("a*b*c", "aXbXbX"), "not where the end is another");
	ok(rf_glob_match("**a**", "bab"), "several in a row are as one");
	ok(rf_glob_match("*aab", "aaaab"), "what began too early is tried again");
}

static void
test_time(void)
{
	char		name[4096];
	char		pattern[256];

	memset(name, 'a', sizeof(name) - 1);
	name[sizeof(name) - 1] = '\0';
	for (size_t i = 0; i + 2 < sizeof(pattern); i += 2)
		memcpy(pattern + i, "a*", 2);
	memcpy(pattern + sizeof(pattern) - 2, "b", 2);
	ok(!rf_glob_match(pattern, name), "many asterisks cost no more than the product of the lengths");
}

int
main(void)
{
	test_words();
	test_stars();
	test_time();
	return done_testing();
}
