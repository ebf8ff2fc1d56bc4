/*-------------------------------------------------------------------------
 *
 * outcome.c
 *	  What to do with a job after one transfer, and how to say why.
 *
 * The decision reads `taken` first and the class second: a mail that was
 * taken is sent, whatever else came back; a mail that was perhaps taken goes
 * out again only where the job allows duplicates; only a mail that was proven
 * not taken moves on to another account.
 *
 * A reason is text that providers and libraries chose.  It is cleaned where
 * it is stored, so that no writer can forget to: one line, valid UTF-8, and
 * "<address>" in place of anything that could be one.
 *
 * IDENTIFICATION
 *	  src/core/outcome.c
 *
 *-------------------------------------------------------------------------
 */
#include <string.h>

#include "codec/text.h"

#include "core/outcome.h"

/* Where a reason is being written. */
typedef struct ReasonWriter
{
	char	   *text;
	size_t		len;
	bool		full;			/* nothing more may be added */
} ReasonWriter;

static RfDecision make_decision(RfAction action, bool charge);
static RfDecision decide_charged_retry(const RfJobFacts *job);
static RfDecision decide_ambiguous(const RfJobFacts *job);
static RfDecision decide_refused(const RfOutcome *outcome,
								 const RfJobFacts *job);
static size_t char_len(const char *text, size_t len);
static bool is_separator(const char *text, size_t char_bytes);
static void add_separator(ReasonWriter *writer, const char *text, size_t len);
static void add_word(ReasonWriter *writer, const char *text, size_t len);
static void add_char(ReasonWriter *writer, const char *text, size_t len);
static void add_mask(ReasonWriter *writer, bool local_is_quoted);

RfDecision
rf_outcome_decide(const RfOutcome *outcome, const RfJobFacts *job)
{
	switch (outcome->taken)
	{
		case RF_TAKEN_YES:
			return make_decision(RF_ACTION_SENT, false);
		case RF_TAKEN_PERHAPS:
			return decide_ambiguous(job);
		case RF_TAKEN_NO:
			return decide_refused(outcome, job);
	}
	return make_decision(RF_ACTION_UNKNOWN, false); /* keep compiler quiet */
}

void
rf_outcome_init(RfOutcome *outcome, RfOutcomeClass class, int http_status)
{
	memset(outcome, 0, sizeof(*outcome));
	outcome->class = class;
	outcome->http_status = http_status;
	outcome->retry_after_s = -1;
	switch (class)
	{
		case RF_OUTCOME_OK:
		case RF_OUTCOME_MISS:
		case RF_OUTCOME_MALFORMED:
			outcome->taken = RF_TAKEN_YES;
			break;
		case RF_OUTCOME_AMBIGUOUS:
			outcome->taken = RF_TAKEN_PERHAPS;
			break;
		case RF_OUTCOME_PENDING:
		case RF_OUTCOME_THROTTLE:
		case RF_OUTCOME_TRANSIENT:
		case RF_OUTCOME_QUOTA:
		case RF_OUTCOME_CREDENTIAL:
		case RF_OUTCOME_CONFIG:
		case RF_OUTCOME_PERMANENT:
			outcome->taken = RF_TAKEN_NO;
			break;
	}
}

/*
 * The text is taken word by word, because only a whole word shows whether it
 * is an address; so no address is cut in two by the end of the reason.
 */
void
rf_outcome_set_reason(RfOutcome *outcome, const char *text, size_t len)
{
	ReasonWriter writer = {outcome->reason, 0, false};
	size_t		at = 0;

	while (at < len && !writer.full)
	{
		size_t		step = char_len(text + at, len - at);
		size_t		word_len = 0;

		if (is_separator(text + at, step))
		{
			add_separator(&writer, text + at, step);
			at += step;
			continue;
		}
		while (at + word_len < len)
		{
			step = char_len(text + at + word_len, len - at - word_len);
			if (is_separator(text + at + word_len, step))
				break;
			word_len += step;
		}
		add_word(&writer, text + at, word_len);
		at += word_len;
	}
	while (writer.len > 0 && writer.text[writer.len - 1] == ' ')
		writer.len--;
	memset(writer.text + writer.len, 0, RF_REASON_MAX + 1 - writer.len);
}

bool
rf_outcome_is_breaker_failure(const RfOutcome *outcome)
{
	if (outcome->http_status >= 500)
		return true;
	return outcome->http_status == 0 &&
		(outcome->class == RF_OUTCOME_TRANSIENT ||
		 outcome->class == RF_OUTCOME_AMBIGUOUS);
}

const char *
rf_outcome_class_text(RfOutcomeClass class)
{
	switch (class)
	{
		case RF_OUTCOME_OK:
			return "ok";
		case RF_OUTCOME_MISS:
			return "miss";
		case RF_OUTCOME_PENDING:
			return "pending";
		case RF_OUTCOME_THROTTLE:
			return "throttle";
		case RF_OUTCOME_TRANSIENT:
			return "transient";
		case RF_OUTCOME_AMBIGUOUS:
			return "ambiguous";
		case RF_OUTCOME_QUOTA:
			return "quota";
		case RF_OUTCOME_CREDENTIAL:
			return "credential";
		case RF_OUTCOME_CONFIG:
			return "config";
		case RF_OUTCOME_PERMANENT:
			return "permanent";
		case RF_OUTCOME_MALFORMED:
			return "malformed";
	}
	return "unknown";			/* keep compiler quiet */
}

static RfDecision
make_decision(RfAction action, bool charge)
{
	RfDecision	decision;

	decision.action = action;
	decision.charge = charge;
	return decision;
}

/* This failure counts; after the last allowed one the job is over. */
static RfDecision
decide_charged_retry(const RfJobFacts *job)
{
	if ((int64_t) job->failures + 1 >= job->max_attempts)
		return make_decision(RF_ACTION_FAIL, true);
	return make_decision(RF_ACTION_RETRY, true);
}

static RfDecision
decide_ambiguous(const RfJobFacts *job)
{
	if (job->delivery == RF_AT_MOST_ONCE)
		return make_decision(RF_ACTION_UNKNOWN, false);
	if (job->waits_for_events)
		return make_decision(RF_ACTION_UNKNOWN, true);
	if (job->more_accounts)
		return make_decision(RF_ACTION_NEXT_ACCOUNT, false);
	return decide_charged_retry(job);
}

/*
 * Proven not taken.  An account in trouble is no failure of the job: it waits
 * and spends no attempt.  A class that contradicts the proof (an answer that
 * says "taken", or "perhaps") is not trusted to send again.
 */
static RfDecision
decide_refused(const RfOutcome *outcome, const RfJobFacts *job)
{
	switch (outcome->class)
	{
		case RF_OUTCOME_OK:
		case RF_OUTCOME_AMBIGUOUS:
			return decide_ambiguous(job);
		case RF_OUTCOME_MISS:
			return make_decision(RF_ACTION_SENT, false);
		case RF_OUTCOME_PENDING:
			return make_decision(RF_ACTION_RETRY, false);
		case RF_OUTCOME_PERMANENT:
			return make_decision(RF_ACTION_FAIL, true);
		case RF_OUTCOME_THROTTLE:
		case RF_OUTCOME_QUOTA:
		case RF_OUTCOME_CREDENTIAL:
			if (job->more_accounts)
				return make_decision(RF_ACTION_NEXT_ACCOUNT, false);
			return make_decision(RF_ACTION_RETRY, false);
		case RF_OUTCOME_TRANSIENT:
		case RF_OUTCOME_CONFIG:
		case RF_OUTCOME_MALFORMED:
			if (job->more_accounts)
				return make_decision(RF_ACTION_NEXT_ACCOUNT, false);
			if (outcome->account_wide)
				return make_decision(RF_ACTION_RETRY, false);
			if (outcome->class == RF_OUTCOME_TRANSIENT)
				return decide_charged_retry(job);
			return make_decision(RF_ACTION_FAIL, true);
	}
	return make_decision(RF_ACTION_UNKNOWN, false); /* keep compiler quiet */
}

/* Bytes of the valid character that starts here; 1 for a byte that is none. */
static size_t
char_len(const char *text, size_t len)
{
	unsigned char first = (unsigned char) text[0];
	size_t		need = 1;

	if (first >= 0xf0)
		need = 4;
	else if (first >= 0xe0)
		need = 3;
	else if (first >= 0xc0)
		need = 2;
	return need <= len && rf_text_is_utf8(text, need) ? need : 1;
}

/*
 * Ends a word: white space, controls (those past ASCII and the Unicode line
 * ends too), and the punctuation that stands around addresses.
 */
static bool
is_separator(const char *text, size_t char_bytes)
{
	unsigned char c = (unsigned char) text[0];

	if (char_bytes == 1)
		return c <= 0x20 || c == 0x7f || strchr("<>()[]\",;:\\", c) != NULL;
	if (char_bytes == 2)
		return c == 0xc2 && (unsigned char) text[1] < 0xa0;
	return char_bytes == 3 && (memcmp(text, "\xe2\x80\xa8", 3) == 0 ||
							   memcmp(text, "\xe2\x80\xa9", 3) == 0);
}

/* Whatever breaks or hides becomes one space; none at the beginning. */
static void
add_separator(ReasonWriter *writer, const char *text, size_t len)
{
	if (len == 1 && (unsigned char) text[0] > 0x20 && text[0] != 0x7f)
		add_char(writer, text, 1);
	else if (writer->len > 0 && writer->text[writer->len - 1] != ' ')
		add_char(writer, " ", 1);
}

static void
add_word(ReasonWriter *writer, const char *text, size_t len)
{
	if (len > 1 && memchr(text, '@', len) != NULL)
	{
		add_mask(writer, text[0] == '@');
		if (text[len - 1] == '.')
			add_char(writer, ".", 1);
		return;
	}
	for (size_t at = 0; at < len && !writer->full;)
	{
		size_t		step = char_len(text + at, len - at);

		if (step == 1 && ((unsigned char) text[at] & 0x80) != 0)
			add_char(writer, "?", 1);
		else
			add_char(writer, text + at, step);
		at += step;
	}
}

static void
add_char(ReasonWriter *writer, const char *text, size_t len)
{
	if (writer->len + len > RF_REASON_MAX)
		writer->full = true;
	if (writer->full)
		return;
	memcpy(writer->text + writer->len, text, len);
	writer->len += len;
}

/*
 * A word that begins with the '@' had a quoted local part: that is made of
 * separators and words, is already written, and is taken back.  Inside angle
 * brackets that are already there, no second pair is added.
 */
static void
add_mask(ReasonWriter *writer, bool local_is_quoted)
{
	const char *mask = "<address>";
	size_t		mask_len = strlen(mask);

	if (local_is_quoted && writer->len > 1 &&
		writer->text[writer->len - 1] == '"')
	{
		writer->len--;
		while (writer->len > 0 && writer->text[writer->len - 1] != '"')
			writer->len--;
		if (writer->len > 0)
			writer->len--;
	}
	if (writer->len > 0 && writer->text[writer->len - 1] == '<')
	{
		mask = "address";
		mask_len = strlen(mask);
	}
	if (writer->len + mask_len > RF_REASON_MAX)
		writer->full = true;	/* half a mask says nothing */
	add_char(writer, mask, mask_len);
}
