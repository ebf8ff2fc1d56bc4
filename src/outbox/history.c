/*-------------------------------------------------------------------------
 *
 * history.c
 *	  How the server came from one timeline to another.
 *
 * A restore and a promotion both end in a new timeline.  Two facts tell them
 * apart.  The new timeline's history file gives the recovery target for each
 * switch, or says that there was none; it stays in pg_wal for as long as the
 * timeline lives.  And shared memory remembers until the server stops that
 * somebody asked for a promotion, which is the only end of standby mode.  A
 * restore up to the end of the archive has neither target nor promotion.
 *
 * The second fact is lost with the server's memory, so a promotion is
 * believed only while it is remembered, and only when it is the one switch
 * since the timeline asked about.  Everything else is unknown.
 *
 * IDENTIFICATION
 *	  src/outbox/history.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xlog_internal.h"
#include "access/xlogrecovery.h"
#include "storage/fd.h"

#include "outbox/history.h"

/* What the server writes where recovery had no target; never translated. */
#define NO_TARGET	"no recovery target specified"

/* One line of a history file: this timeline was left, for that reason. */
typedef struct Switch
{
	TimeLineID	from;
	char		reason[RF_HISTORY_REASON_MAX];
} Switch;

static bool read_switch(FILE *file, Switch *entry);

RfHistory
rf_history_since(TimeLineID then, TimeLineID now, char *reason)
{
	char		path[MAXPGPATH];
	Switch		entry;
	Switch		last = {0};
	FILE	   *file;

	if (now < then)
		return RF_HISTORY_UNKNOWN;
	TLHistoryFilePath(path, now);
	file = AllocateFile(path, "r");
	if (file == NULL)
		return RF_HISTORY_UNKNOWN;
	while (read_switch(file, &entry))
	{
		last = entry;
		if (entry.from >= then && strcmp(entry.reason, NO_TARGET) != 0)
			break;
	}
	FreeFile(file);

	if (last.from >= then && last.reason[0] != '\0' && strcmp(last.reason, NO_TARGET) != 0)
	{
		strlcpy(reason, last.reason, RF_HISTORY_REASON_MAX);
		return RF_HISTORY_RESTORED;
	}

	/*
	 * A gap in the numbers means that the timeline after ours was taken: the
	 * history goes on elsewhere, too.
	 */
	if (last.from == then && now == then + 1 && PromoteIsTriggered())
		return RF_HISTORY_PROMOTED;
	return RF_HISTORY_UNKNOWN;
}

/*
 * The next switch: timeline, position, reason.  Some reasons end in a line
 * break of their own, so an empty line is none.
 */
static bool
read_switch(FILE *file, Switch *entry)
{
	char		line[1024];

	while (fgets(line, sizeof(line), file) != NULL)
	{
		unsigned	from;
		int			start = 0;
		size_t		len;

		if (sscanf(line, "%u %*X/%*X %n", &from, &start) != 1 || start == 0)
			continue;
		entry->from = from;
		strlcpy(entry->reason, line + start, sizeof(entry->reason));
		len = strlen(entry->reason);
		while (len > 0 && strchr(" \t\r\n", entry->reason[len - 1]) != NULL)
			entry->reason[--len] = '\0';
		/* A restore point's name can be in any encoding. */
		for (char *p = entry->reason; *p; p++)
			if (*p < ' ' || *p > '~')
				*p = '?';
		return true;
	}
	return false;
}
