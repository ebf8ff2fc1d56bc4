/*-------------------------------------------------------------------------
 *
 * intake.c
 *	  What a verified request brought: its events, and how each is known again.
 *
 * An event has the provider's id; without one, the hash of its bytes.  Where ids
 * may change when an event is repeated, or where a signature covers less than
 * the event, there is a second key: of Mailgun what was signed, which is good
 * for one event only; of SendGrid what the reader of events says; of any other
 * the members that the source names.
 *
 * IDENTIFICATION
 *	  src/inbox/intake.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "utils/builtins.h"

#include "outbox/statement.h"
#include "webhook/content.h"
#include "webhook/key.h"
#include "inbox/intake.h"

#define EVENTS_MAX 10000

static void read_event(RfIncoming *incoming, const RfSource *source, RfText raw,
					   const RfSigned *what, RfText signed_id);
static char *event_id_of(const RfIncoming *incoming, RfText signed_id);
static void set_content_key(RfIncoming *incoming, const RfSource *source, const RfSigned *what);
static bool hash_members(RfText raw, List *paths, unsigned char *digest);
static void digest(const RfText *parts, size_t nparts, unsigned char *out);

bool
rf_intake_read(const RfSource *source, RfText body, const RfSigned *what, RfIntake *intake)
{
	const RfText no_id = {"", 0};
	RfText	   *members = NULL;
	size_t		nmembers = 0;

	memset(intake, 0, sizeof(*intake));
	intake->source = source;
	if (!rf_events_split(source->provider, body.data, body.len, &members, &nmembers))
	{
		/* What cannot be split is one event that cannot be read. */
		intake->events = palloc0(sizeof(RfIncoming));
		intake->nevents = 1;
		read_event(&intake->events[0], source, body, what, what->id);
		return true;
	}
	if (nmembers > EVENTS_MAX)
	{
		free(members);
		return false;
	}
	intake->events = palloc0_array(RfIncoming, Max(nmembers, 1));
	intake->nevents = (int) nmembers;
	for (size_t i = 0; i < nmembers; i++)
		read_event(&intake->events[i], source, members[i], what, nmembers == 1 ? what->id : no_id);
	free(members);
	return true;
}

void
rf_intake_free(RfIntake *intake)
{
	for (int i = 0; i < intake->nevents; i++)
		rf_event_free(&intake->events[i].event);
	intake->nevents = 0;
}

const char *
rf_fate_text(RfFate fate)
{
	switch (fate)
	{
		case RF_FATE_NEW:
		case RF_FATE_APPLIED:
			return "applied";
		case RF_FATE_SHADOW:
			return "shadow";
		case RF_FATE_DUPLICATE:
			return "duplicate";
		case RF_FATE_QUEUED:
			return "queued";
		case RF_FATE_FAILED:
			return "failed";
		case RF_FATE_DEAD:
			return "dead";
	}
	return "";					/* keep compiler quiet */
}

const char *
rf_intake_status(const RfIncoming *event)
{
	bool		waits = event->pending != NIL &&
		(event->fate == RF_FATE_NEW || event->fate == RF_FATE_APPLIED);

	return rf_fate_text(waits ? RF_FATE_QUEUED : event->fate);
}

static void
read_event(RfIncoming *incoming, const RfSource *source, RfText raw, const RfSigned *what,
		   RfText signed_id)
{
	incoming->raw = raw;
	rf_event_read(source->provider, raw, &incoming->event);
	incoming->event_id = event_id_of(incoming, signed_id);
	incoming->type = rf_text_to_server(incoming->event.type);
	set_content_key(incoming, source, what);
	if (incoming->event.kind == RF_EVENT_UNREADABLE)
	{
		incoming->fate = RF_FATE_DEAD;
		incoming->error = rf_text_to_server(incoming->event.reason);
	}
	else if (source->shadow)
		incoming->fate = RF_FATE_SHADOW;
}

/*
 * A sender's header first: it is signed, and the same in each repetition.  It is
 * that of the request, so it names none of several events.
 */
static char *
event_id_of(const RfIncoming *incoming, RfText signed_id)
{
	unsigned char hash[RF_CONTENT_KEY_BYTES];
	char	   *id;

	if (signed_id.len > 0)
		return pnstrdup(signed_id.data, signed_id.len);
	if (incoming->event.id[0] != '\0')
		return rf_text_to_server(incoming->event.id);
	digest(&incoming->raw, 1, hash);
	id = palloc(7 + 2 * RF_CONTENT_KEY_BYTES + 1);
	strcpy(id, "sha256:");
	hex_encode((char *) hash, RF_CONTENT_KEY_BYTES, id + 7);
	id[7 + 2 * RF_CONTENT_KEY_BYTES] = '\0';
	return id;
}

static void
set_content_key(RfIncoming *incoming, const RfSource *source, const RfSigned *what)
{
	RfText		content;

	content.data = incoming->event.content.data;
	content.len = incoming->event.content.len;
	if (source->scheme == RF_SCHEME_MAILGUN)
	{
		digest(what->parts, what->nparts, incoming->content_key);
		incoming->has_content_key = true;
	}
	else if (source->content_key != NIL)
		incoming->has_content_key = hash_members(incoming->raw, source->content_key, incoming->content_key);
	else if (strcmp(source->provider, "sendgrid") == 0 && content.len > 0 &&
			 !incoming->event.content.failed)
	{
		digest(&content, 1, incoming->content_key);
		incoming->has_content_key = true;
	}
}

/* All of them must be there, or the event is known by its id alone. */
static bool
hash_members(RfText raw, List *paths, unsigned char *out)
{
	const char **names = palloc_array(const char *, list_length(paths));
	size_t		n = 0;
	ListCell   *lc;

	foreach(lc, paths)
		names[n++] = lfirst(lc);
	return rf_content_digest(raw, names, n, out);
}

static void
digest(const RfText *parts, size_t nparts, unsigned char *out)
{
	if (!rf_key_digest(parts, nparts, out))
		ereport(ERROR,
				(errcode(ERRCODE_OUT_OF_MEMORY),
				 errmsg("out of memory")));
}
