/*-------------------------------------------------------------------------
 *
 * question.c
 *	  A question to a provider as bytes.
 *
 * A fixed head, then each text with its length before it and a zero behind.
 *
 * IDENTIFICATION
 *	  src/worker/question.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "lib/stringinfo.h"

#include "worker/question.h"

typedef struct Head
{
	Oid			server;
	int			page;
	int64		max_results;
	size_t		counts[3];		/* titles, seniorities, locations */
} Head;

static void put_text(StringInfo bytes, RfText value);
static void put_list(StringInfo bytes, const RfText *list, size_t count);
static const char *get_text(const char *at, RfText *value);
static const char *get_list(const char *at, const RfText **list, size_t count);

void *
rf_question_pack(const RfQuestion *question, Size *len)
{
	const RfPeopleQuery *query = &question->query;
	StringInfoData bytes;
	Head		head;

	memset(&head, 0, sizeof(head));
	head.server = question->server;
	head.page = question->page;
	head.max_results = query->max_results;
	head.counts[0] = query->ntitles;
	head.counts[1] = query->nseniorities;
	head.counts[2] = query->nlocations;

	initStringInfo(&bytes);
	appendBinaryStringInfo(&bytes, (const char *) &head, sizeof(head));
	put_text(&bytes, query->domain);
	put_list(&bytes, query->titles, query->ntitles);
	put_list(&bytes, query->seniorities, query->nseniorities);
	put_list(&bytes, query->locations, query->nlocations);
	*len = bytes.len;
	return bytes.data;
}

void
rf_question_unpack(const void *bytes, RfQuestion *question)
{
	const char *at = (const char *) bytes + sizeof(Head);
	Head		head;

	memcpy(&head, bytes, sizeof(head));
	memset(question, 0, sizeof(*question));
	question->server = head.server;
	question->page = head.page;
	question->query.max_results = head.max_results;
	question->query.ntitles = head.counts[0];
	question->query.nseniorities = head.counts[1];
	question->query.nlocations = head.counts[2];

	at = get_text(at, &question->query.domain);
	at = get_list(at, &question->query.titles, head.counts[0]);
	at = get_list(at, &question->query.seniorities, head.counts[1]);
	(void) get_list(at, &question->query.locations, head.counts[2]);
}

static void
put_text(StringInfo bytes, RfText value)
{
	appendBinaryStringInfo(bytes, (const char *) &value.len, sizeof(value.len));
	appendBinaryStringInfo(bytes, value.data, value.len);
	appendStringInfoChar(bytes, '\0');
}

static void
put_list(StringInfo bytes, const RfText *list, size_t count)
{
	for (size_t i = 0; i < count; i++)
		put_text(bytes, list[i]);
}

/* Returns where the next one stands. */
static const char *
get_text(const char *at, RfText *value)
{
	memcpy(&value->len, at, sizeof(value->len));
	value->data = at + sizeof(value->len);
	return value->data + value->len + 1;
}

static const char *
get_list(const char *at, const RfText **list, size_t count)
{
	RfText	   *texts = palloc(Max(count, 1) * sizeof(RfText));

	for (size_t i = 0; i < count; i++)
		at = get_text(at, &texts[i]);
	*list = texts;
	return at;
}
