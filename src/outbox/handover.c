/*-------------------------------------------------------------------------
 *
 * handover.c
 *	  A checked job as bytes, on its way from a session to the dispatcher.
 *
 * A fixed head, the texts one after the other, each with its terminating zero,
 * then args, aligned.
 *
 * IDENTIFICATION
 *	  src/outbox/handover.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "outbox/handover.h"

typedef struct Head
{
	int64		lane;
	TimestampTz run_at;
	int			priority;
	int			naccounts;
	Size		args_at;		/* from the beginning */
	int64		wait_us;
	RfMode		mode;
	bool		present[6];		/* the optional texts, in the order below */
} Head;

/* In the order in which they stand. */
static const size_t text_offsets[] = {
	offsetof(RfJobDraft, task),
	offsetof(RfJobDraft, role),
	offsetof(RfJobDraft, effective_queue),
	offsetof(RfJobDraft, effective_delivery),
	offsetof(RfJobDraft, idempotency_key),
	offsetof(RfJobDraft, tenant_key)
};

#define NTEXTS lengthof(text_offsets)
#define text_of(draft, i) \
	((const char **) ((char *) (draft) + text_offsets[i]))

static Size texts_length(const RfJobDraft *draft);
static char *put_text(char *at, const char *string);

void *
rf_handover_pack(const RfJobDraft *draft, Size *len)
{
	Size		args_at = MAXALIGN(sizeof(Head) + texts_length(draft));
	char	   *bytes;
	char	   *at;
	Head	   *head;
	ListCell   *lc;

	*len = args_at + VARSIZE(draft->args);
	bytes = MemoryContextAllocHuge(CurrentMemoryContext, *len);
	head = (Head *) bytes;
	memset(head, 0, sizeof(Head));
	head->lane = draft->lane;
	head->run_at = draft->run_at;
	head->priority = draft->priority;
	head->wait_us = draft->wait_us;
	head->mode = draft->mode;
	head->naccounts = list_length(draft->accounts);
	head->args_at = args_at;

	at = bytes + sizeof(Head);
	for (size_t i = 0; i < NTEXTS; i++)
	{
		head->present[i] = *text_of(draft, i) != NULL;
		if (head->present[i])
			at = put_text(at, *text_of(draft, i));
	}
	foreach(lc, draft->accounts)
		at = put_text(at, lfirst(lc));
	memcpy(bytes + args_at, draft->args, VARSIZE(draft->args));
	return bytes;
}

void
rf_handover_unpack(void *bytes, Size len, RfJobDraft *draft)
{
	const Head *head = bytes;
	char	   *at = (char *) bytes + sizeof(Head);

	memset(draft, 0, sizeof(*draft));
	draft->lane = head->lane;
	draft->run_at = head->run_at;
	draft->expires_at = DT_NOEND;
	draft->priority = head->priority;
	draft->wait_us = head->wait_us;
	draft->mode = head->mode;
	for (size_t i = 0; i < NTEXTS; i++)
	{
		if (!head->present[i])
			continue;
		*text_of(draft, i) = at;
		at += strlen(at) + 1;
	}
	for (int i = 0; i < head->naccounts; i++)
	{
		draft->accounts = lappend(draft->accounts, at);
		at += strlen(at) + 1;
	}
	draft->args = (Jsonb *) ((char *) bytes + head->args_at);
	Assert(head->args_at + VARSIZE(draft->args) == len);
}

static Size
texts_length(const RfJobDraft *draft)
{
	Size		length = 0;
	ListCell   *lc;

	for (size_t i = 0; i < NTEXTS; i++)
		length += *text_of(draft, i) ? strlen(*text_of(draft, i)) + 1 : 0;
	foreach(lc, draft->accounts)
		length += strlen(lfirst(lc)) + 1;
	return length;
}

/* Returns where the next one goes. */
static char *
put_text(char *at, const char *string)
{
	size_t		size = strlen(string) + 1;

	memcpy(at, string, size);
	return at + size;
}
