/*-------------------------------------------------------------------------
 *
 * event.c
 *	  What providers report takes effect: a batch at a time.
 *
 * An event belongs to the job that its rf_job names, if that carries this
 * installation's mark; without one, to the mail with its message's id.  A mail
 * can have several recipients: its life is that of to_addr, while anything that
 * is told of any of them proves that it was taken.
 *
 * IDENTIFICATION
 *	  src/outbox/event.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/timestamp.h"

#include "outbox/activation.h"
#include "outbox/event.h"
#include "outbox/event_write.h"
#include "outbox/statement.h"
#include "outbox/suppression.h"

/* A mail that events may be about. */
typedef struct Mail
{
	int64		job_id;
	const char *message_id;		/* NULL, unless it was looked for */
	bool		unknown;
	char		to_addr[RF_EVENT_ADDRESS_MAX + 1];	/* folded */
} Mail;

typedef struct Mails
{
	Mail	   *list;
	int			count;
} Mails;

static int	pin_to_indexes(void);
static void read_installation(char *installation);
static void find_by_job(RfEventEntry *entries, int nentries, Mails *mails);
static void find_by_message(RfEventEntry *entries, int nentries, Mails *mails);
static void take_mails(Mails *mails, bool by_message);
static int	compare_jobs(const void *a, const void *b);
static int	compare_messages(const void *a, const void *b);
static void join_entry(RfEventEntry *entry, const Mail *mail);

void
rf_events_apply(const RfEvent *const *events, const int64 *event_rows, int nevents,
				const char *source, RfEventEffect *effects)
{
	char		installation[RF_INSTALLATION_MAX + 1];
	RfEventEntry *entries = palloc0(Max(nevents, 1) * sizeof(RfEventEntry));
	int			nest_level = pin_to_indexes();
	Mails		by_job = {NULL, 0};
	Mails		by_message = {NULL, 0};

	read_installation(installation);
	for (int i = 0; i < nevents; i++)
	{
		RfEventEntry *entry = &entries[i];

		entry->event = events[i];
		entry->row = event_rows[i];
		entry->at = events[i]->at_us != 0 ?
			events[i]->at_us - (POSTGRES_EPOCH_JDATE - UNIX_EPOCH_JDATE) * USECS_PER_DAY :
			GetCurrentTimestamp();
		if (events[i]->kind <= RF_EVENT_OTHER)
			continue;
		entry->about_mail = true;
		if (events[i]->job_id == 0)
			continue;
		if (installation[0] != '\0' && strcmp(events[i]->installation, installation) == 0)
			entry->own = true;
		else
			entry->effect.standing = RF_EVENT_FOREIGN;
	}
	find_by_job(entries, nevents, &by_job);
	find_by_message(entries, nevents, &by_message);
	for (int i = 0; i < nevents; i++)
	{
		Mail		key = {0};

		if (!entries[i].about_mail || entries[i].effect.standing == RF_EVENT_FOREIGN)
			continue;
		key.job_id = entries[i].event->job_id;
		key.message_id = entries[i].event->message_id;
		if (entries[i].own && by_job.count > 0)
			join_entry(&entries[i], bsearch(&key, by_job.list, by_job.count, sizeof(Mail), compare_jobs));
		else if (!entries[i].own && by_message.count > 0)
			join_entry(&entries[i], bsearch(&key, by_message.list, by_message.count, sizeof(Mail), compare_messages));
	}

	rf_event_write_settled(entries, nevents, source);
	rf_event_write_lives(entries, nevents);
	rf_suppression_feed(entries, nevents);
	for (int i = 0; i < nevents; i++)
		effects[i] = entries[i].effect;
	AtEOXact_GUC(true, nest_level);
	pfree(entries);
}

void
rf_event_apply(const RfEvent *event, const char *source, int64 event_row,
			   RfEventEffect *effect)
{
	rf_events_apply(&event, &event_row, 1, source, effect);
}

/* As the dispatcher's statements: on their indexes, whatever statistics say. */
static int
pin_to_indexes(void)
{
	static const char *const off[] = {"enable_seqscan", "enable_hashjoin", "enable_mergejoin", "jit"};
	int			nest_level = NewGUCNestLevel();

	for (size_t i = 0; i < lengthof(off); i++)
		(void) set_config_option(off[i], "off", PGC_USERSET, PGC_S_SESSION,
								 GUC_ACTION_SAVE, true, 0, false);
	return nest_level;
}

static void
read_installation(char *installation)
{
	static RfStatement find = {
		"SELECT a.installation FROM roleferry.activation AS a", 0, {0}, NULL
	};

	installation[0] = '\0';
	if (rf_statement_run(&find, NULL, NULL) > 0)
		strlcpy(installation,
				SPI_getvalue(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 1),
				RF_INSTALLATION_MAX + 1);
}

/* One snapshot sees each job in exactly one place. */
static void
find_by_job(RfEventEntry *entries, int nentries, Mails *mails)
{
	static RfStatement find = {
		"SELECT m.job_id, NULL::text, false, m.to_addr FROM roleferry.message AS m WHERE m.job_id = ANY ($1)"
		" UNION ALL SELECT d.job_id, NULL, d.state = 'unknown', d.args ->> 'to_addr'"
		" FROM roleferry.dead_letter AS d WHERE d.job_id = ANY ($1)"
		" UNION ALL SELECT o.id, NULL, false, o.args ->> 'to_addr' FROM roleferry.outbox AS o WHERE o.id = ANY ($1)",
		1, {INT8ARRAYOID}, NULL
	};
	RfColumn	ids;
	Datum		array;
	int			count = 0;

	rf_column_init(&ids, INT8OID);
	for (int i = 0; i < nentries; i++)
	{
		if (!entries[i].own)
			continue;
		rf_column_add(&ids, Int64GetDatum(entries[i].event->job_id), false);
		count++;
	}
	if (count == 0)
		return;
	array = rf_column_array(&ids);
	(void) rf_statement_run(&find, &array, NULL);
	take_mails(mails, false);
}

static void
find_by_message(RfEventEntry *entries, int nentries, Mails *mails)
{
	static RfStatement find = {
		"SELECT m.job_id, m.message_id, false, m.to_addr FROM roleferry.message AS m WHERE m.message_id = ANY ($1)",
		1, {TEXTARRAYOID}, NULL
	};
	RfColumn	ids;
	Datum		array;
	int			count = 0;

	rf_column_init(&ids, TEXTOID);
	for (int i = 0; i < nentries; i++)
	{
		if (!entries[i].about_mail || entries[i].own || entries[i].effect.standing == RF_EVENT_FOREIGN ||
			entries[i].event->message_id[0] == '\0')
			continue;
		rf_column_add_text(&ids, entries[i].event->message_id);
		count++;
	}
	if (count == 0)
		return;
	array = rf_column_array(&ids);
	(void) rf_statement_run(&find, &array, NULL);
	take_mails(mails, true);
}

static void
take_mails(Mails *mails, bool by_message)
{
	mails->count = (int) SPI_processed;
	mails->list = palloc0(Max(mails->count, 1) * sizeof(Mail));
	for (int i = 0; i < mails->count; i++)
	{
		HeapTuple	row = SPI_tuptable->vals[i];
		TupleDesc	desc = SPI_tuptable->tupdesc;
		Mail	   *mail = &mails->list[i];
		char	   *to_addr = SPI_getvalue(row, desc, 4);
		bool		isnull;

		mail->job_id = DatumGetInt64(SPI_getbinval(row, desc, 1, &isnull));
		mail->message_id = SPI_getvalue(row, desc, 2);
		mail->unknown = DatumGetBool(SPI_getbinval(row, desc, 3, &isnull));
		if (to_addr != NULL)
			(void) rf_event_fold_address(to_addr, strlen(to_addr), mail->to_addr);
	}
	qsort(mails->list, mails->count, sizeof(Mail), by_message ? compare_messages : compare_jobs);
}

static int
compare_jobs(const void *a, const void *b)
{
	int64		left = ((const Mail *) a)->job_id;
	int64		right = ((const Mail *) b)->job_id;

	return left < right ? -1 : left > right;
}

static int
compare_messages(const void *a, const void *b)
{
	return strcmp(((const Mail *) a)->message_id, ((const Mail *) b)->message_id);
}

static void
join_entry(RfEventEntry *entry, const Mail *mail)
{
	if (mail == NULL)
		return;
	entry->effect.standing = RF_EVENT_MATCHED;
	entry->effect.job_id = mail->job_id;
	entry->unknown = mail->unknown;
	entry->of_to_addr = entry->event->recipient[0] == '\0' || mail->to_addr[0] == '\0' ||
		strcmp(entry->event->recipient, mail->to_addr) == 0;
}
