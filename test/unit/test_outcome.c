/* What happens to a job after a transfer: the whole table; and clean reasons. */
#include <limits.h>

#include "codec/text.h"
#include "core/outcome.h"
#include "tap.h"

/* A decision as a letter: upper case when it is charged. */
static char
decide(RfOutcomeClass class, RfTaken taken, bool wide, RfDelivery delivery,
	   bool more, int failures)
{
	RfOutcome	outcome;
	RfJobFacts	job = {delivery, more, false, failures, 5};
	RfDecision	decision;

	rf_outcome_init(&outcome, class, 0);
	outcome.taken = taken;
	outcome.account_wide = wide;
	decision = rf_outcome_decide(&outcome, &job);
	return (decision.charge ? "SNRUF" : "snruf")[decision.action];
}

/*
 * One row: the letters for proven not taken (first account trouble of this
 * mail only, then of the account), in each case with no more accounts, with no
 * more accounts and the last attempt, with more accounts.
 */
static const struct
{
	RfOutcomeClass class;
	const char *mail_only;
	const char *wide;
}			refused[] = {
	{RF_OUTCOME_PENDING, "rrr", "rrr"},
	{RF_OUTCOME_THROTTLE, "rrn", "rrn"},
	{RF_OUTCOME_TRANSIENT, "RFn", "rrn"},
	{RF_OUTCOME_QUOTA, "rrn", "rrn"},
	{RF_OUTCOME_CREDENTIAL, "rrn", "rrn"},
	{RF_OUTCOME_CONFIG, "FFn", "rrn"},
	{RF_OUTCOME_PERMANENT, "FFF", "FFF"},
	{RF_OUTCOME_MALFORMED, "FFn", "rrn"},
	{RF_OUTCOME_MISS, "sss", "sss"},
};

static void
test_refused(void)
{
	for (size_t i = 0; i < sizeof(refused) / sizeof(refused[0]); i++)
	{
		for (int delivery = RF_AT_MOST_ONCE; delivery <= RF_AT_LEAST_ONCE; delivery++)
		{
			char		got[2][4] = {"", ""};

			for (int wide = 0; wide < 2; wide++)
			{
				got[wide][0] = decide(refused[i].class, RF_TAKEN_NO, wide, (RfDelivery) delivery, false, 0);
				got[wide][1] = decide(refused[i].class, RF_TAKEN_NO, wide, (RfDelivery) delivery, false, 4);
				got[wide][2] = decide(refused[i].class, RF_TAKEN_NO, wide, (RfDelivery) delivery, true, 4);
			}
			is_text(got[0], refused[i].mail_only, rf_outcome_class_text(refused[i].class));
			is_text(got[1], refused[i].wide, rf_outcome_class_text(refused[i].class));
		}
	}
}

/* With roleferry.resend_unknown_after. */
static char
decide_waiting(RfTaken taken, RfDelivery delivery)
{
	RfOutcome	outcome;
	RfJobFacts	job = {delivery, true, true, 0, 5};
	RfDecision	decision;

	rf_outcome_init(&outcome, RF_OUTCOME_TRANSIENT, 0);
	outcome.taken = taken;
	decision = rf_outcome_decide(&outcome, &job);
	return (decision.charge ? "SNRUF" : "snruf")[decision.action];
}

static void
test_taken(void)
{
	for (int class = RF_OUTCOME_OK; class <= RF_OUTCOME_MALFORMED; class++)
	{
		const char *name = rf_outcome_class_text((RfOutcomeClass) class);
		bool		sent = true;
		bool		unknown = true;
		char		repeated[4] = "";

		for (int i = 0; i < 8; i++)
		{
			sent = sent && decide((RfOutcomeClass) class, RF_TAKEN_YES, i & 1,
								  i & 2 ? RF_AT_LEAST_ONCE : RF_AT_MOST_ONCE, i & 4, 4) == 's';
			unknown = unknown && decide((RfOutcomeClass) class, RF_TAKEN_PERHAPS, i & 1,
										RF_AT_MOST_ONCE, i & 4, i & 2 ? 4 : 0) == 'u';
		}
		ok(sent, "%s, taken: sent, whatever else", name);
		ok(unknown, "%s, perhaps taken, at most once: unknown, never again", name);
		repeated[0] = decide((RfOutcomeClass) class, RF_TAKEN_PERHAPS, false, RF_AT_LEAST_ONCE, false, 0);
		repeated[1] = decide((RfOutcomeClass) class, RF_TAKEN_PERHAPS, true, RF_AT_LEAST_ONCE, false, 4);
		repeated[2] = decide((RfOutcomeClass) class, RF_TAKEN_PERHAPS, false, RF_AT_LEAST_ONCE, true, 4);
		is_text(repeated, "RFn", "perhaps taken, at least once: retried, charged, elsewhere first");
	}
	is_int(decide_waiting(RF_TAKEN_PERHAPS, RF_AT_LEAST_ONCE), 'U',
		   "perhaps taken, at least once, after events had their time: unknown until then, charged");
	is_int(decide_waiting(RF_TAKEN_PERHAPS, RF_AT_MOST_ONCE), 'u', "at most once it stays so");
	is_int(decide_waiting(RF_TAKEN_NO, RF_AT_LEAST_ONCE), 'n', "what was not taken waits for no event");
	is_int(decide(RF_OUTCOME_OK, RF_TAKEN_NO, false, RF_AT_MOST_ONCE, true, 0), 'u',
		   "a contradiction is never sent again");
	is_int(decide(RF_OUTCOME_AMBIGUOUS, RF_TAKEN_NO, false, RF_AT_MOST_ONCE, true, 0), 'u',
		   "neither is the other one");
	is_int(decide(RF_OUTCOME_TRANSIENT, RF_TAKEN_NO, false, RF_AT_MOST_ONCE, false, INT_MAX), 'F',
		   "failures do not overflow");
	is_int(decide(RF_OUTCOME_TRANSIENT, RF_TAKEN_NO, false, RF_AT_MOST_ONCE, false, 3), 'R',
		   "the last attempt but one is followed by the last");
}

static void
test_init(void)
{
	RfOutcome	outcome;

	memset(&outcome, 'x', sizeof(outcome));
	rf_outcome_init(&outcome, RF_OUTCOME_AMBIGUOUS, 500);
	ok(outcome.taken == RF_TAKEN_PERHAPS && outcome.retry_after_s == -1 &&
	   outcome.http_status == 500 && outcome.reason[0] == '\0' &&
	   outcome.message_id[0] == '\0' && !outcome.account_wide,
	   "an outcome begins empty, with no wait asked for");
	for (int class = RF_OUTCOME_OK; class <= RF_OUTCOME_MALFORMED; class++)
	{
		bool		yes = class == RF_OUTCOME_OK || class == RF_OUTCOME_MISS || class == RF_OUTCOME_MALFORMED;

		rf_outcome_init(&outcome, (RfOutcomeClass) class, 0);
		ok(outcome.taken == (yes ? RF_TAKEN_YES : class == RF_OUTCOME_AMBIGUOUS ?
							 RF_TAKEN_PERHAPS : RF_TAKEN_NO),
		   "the taken of %s", rf_outcome_class_text((RfOutcomeClass) class));
		ok(rf_outcome_is_breaker_failure(&outcome) ==
		   (class == RF_OUTCOME_TRANSIENT || class == RF_OUTCOME_AMBIGUOUS),
		   "of what has no status only transport trouble counts for the breaker: %s",
		   rf_outcome_class_text((RfOutcomeClass) class));
		outcome.http_status = 429;
		ok(!rf_outcome_is_breaker_failure(&outcome), "a 4xx never does");
		outcome.http_status = 503;
		ok(rf_outcome_is_breaker_failure(&outcome), "a 5xx always does");
	}
}

static void
check_reason(const char *text, size_t len, const char *expected, const char *what)
{
	RfOutcome	outcome;

	rf_outcome_init(&outcome, RF_OUTCOME_PERMANENT, 400);
	rf_outcome_set_reason(&outcome, text, len);
	is_text(outcome.reason, expected, what);
}

#define REASON(text, expected, what) check_reason(text, sizeof(text) - 1, expected, what)

static void
test_reason(void)
{
	REASON("Bad Request", "Bad Request", "plain words are kept");
	REASON("", "", "nothing is nothing");
	REASON("  two\r\n\tlines \x01 ", "two lines", "a reason is one line, without controls");
	REASON("a\0b", "a b", "NUL is a control");
	REASON("a\xc2\x85" "b\xe2\x80\xa8" "c\xe2\x80\xa9" "d", "a b c d", "Unicode has line ends too");
	REASON("caf\xc3\xa9 \xe2\x82\xac", "caf\xc3\xa9 \xe2\x82\xac", "other characters are kept");
	REASON("caf\xe9 \xff\xc3", "caf? ??", "bytes that are no UTF-8 are question marks");

	REASON("to ann@example.com.", "to <address>.", "an address is not shown");
	REASON("Ann <ann@example.com>", "Ann <address>", "in brackets neither");
	REASON("{\"to\":\"ann@example.com\"}", "{\"to\":\"<address>\"}", "nor in JSON");
	REASON("\"ann lee\"@example.com bounced", "<address> bounced", "nor with a quoted local part");
	REASON("mailto:ann@[10.0.0.1]", "mailto:<address>[10.0.0.1]", "nor with an address literal");
	REASON("z\xc3\xb6@example.com", "<address>", "nor beyond ASCII");
	REASON("a@b,c@d;e@f", "<address>,<address>;<address>", "nor many");
	REASON("5 @ home", "5 @ home", "an @ alone is no address");
}

static void
test_reason_length(void)
{
	char		text[600];
	RfOutcome	outcome;

	memset(text, 'x', sizeof(text));
	rf_outcome_init(&outcome, RF_OUTCOME_PERMANENT, 400);
	rf_outcome_set_reason(&outcome, text, sizeof(text));
	is_int((int64_t) strlen(outcome.reason), RF_REASON_MAX, "a long reason is cut");

	memcpy(text + RF_REASON_MAX - 1, "\xe2\x82\xac", 3);
	rf_outcome_set_reason(&outcome, text, sizeof(text));
	is_int((int64_t) strlen(outcome.reason), RF_REASON_MAX - 1, "between characters");

	memset(text, ' ', sizeof(text));
	memset(text, 'y', 240);
	memcpy(text + 245, "somebody.with.a.name@example.com", 32);
	rf_outcome_set_reason(&outcome, text, sizeof(text));
	ok(strstr(outcome.reason, "some") == NULL, "an address at the end leaves no piece of itself");

	memset(text, 'z', sizeof(text));
	text[590] = '@';
	rf_outcome_set_reason(&outcome, text, sizeof(text));
	is_text(outcome.reason, "<address>", "nor does one longer than the reason");
}

int
main(void)
{
	test_refused();
	test_taken();
	test_init();
	test_reason();
	test_reason_length();
	return done_testing();
}
