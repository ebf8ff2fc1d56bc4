/*-------------------------------------------------------------------------
 *
 * control.c
 *	  The control port of the bench's provider: one line asks, the answer
 *	  ends with the connection.
 *
 *	reset		forgets everything; answers "ok"
 *	stats		a line of NAME VALUE pairs, as in struct Journal
 *	wait N		the same, when N different mails have come
 *	arrivals	NUMBER TIME, a line for each mail, TIME in microseconds
 *	timeline	MILLISECONDS COUNT, for each hundredth of a second since the
 *				first request
 *
 * Reading and writing block: whoever asks must be quick, and asks for the long
 * answers when nothing is measured.
 *
 *-------------------------------------------------------------------------
 */
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "provider.h"

#define MAX_WAITS 16

typedef struct Wait
{
	FILE	   *out;			/* NULL: free */
	uint64_t	distinct;
} Wait;

static Wait waits[MAX_WAITS];
static int	wait_count;

static void obey(FILE *stream, const char *line);
static void add_wait(FILE *stream, uint64_t distinct);
static void print_stats(FILE *out);

void
control_accept(int listening_fd)
{
	char		line[128];
	FILE	   *stream;
	int			fd = accept_quickly(listening_fd);

	if (fd < 0)
		return;
	fcntl(fd, F_SETFL, 0);
	stream = fdopen(fd, "r+");
	if (stream == NULL)
		die("fdopen");
	if (fgets(line, sizeof(line), stream) == NULL)
		fclose(stream);
	else
		obey(stream, line);
}

static void
obey(FILE *stream, const char *line)
{
	unsigned long long distinct;

	if (sscanf(line, "wait %llu", &distinct) == 1)
	{
		add_wait(stream, distinct);
		return;
	}
	if (strcmp(line, "reset\n") == 0)
	{
		journal_reset();
		fputs("ok\n", stream);
	}
	else if (strcmp(line, "stats\n") == 0)
		print_stats(stream);
	else if (strcmp(line, "arrivals\n") == 0)
		journal_print_arrivals(stream);
	else if (strcmp(line, "timeline\n") == 0)
		journal_print_timeline(stream);
	else
		fputs("unknown\n", stream);
	fclose(stream);
}

static void
add_wait(FILE *stream, uint64_t distinct)
{
	for (int i = 0; i < MAX_WAITS; i++)
	{
		if (waits[i].out != NULL)
			continue;
		waits[i].out = stream;
		waits[i].distinct = distinct;
		wait_count++;
		return;
	}
	fputs("too many wait\n", stream);
	fclose(stream);
}

/* Called once a turn. */
void
control_answer_waits(void)
{
	for (int i = 0; wait_count > 0 && i < MAX_WAITS; i++)
	{
		if (waits[i].out == NULL || journal.distinct < waits[i].distinct)
			continue;
		print_stats(waits[i].out);
		fclose(waits[i].out);
		waits[i].out = NULL;
		wait_count--;
	}
}

static void
print_stats(FILE *out)
{
	fprintf(out, "requests %llu distinct %llu duplicates %llu unnamed %llu "
			"searches %llu refused %llu bytes %llu first_us %lld last_us %lld\n",
			(unsigned long long) journal.requests,
			(unsigned long long) journal.distinct,
			(unsigned long long) journal.duplicates,
			(unsigned long long) journal.unnamed,
			(unsigned long long) journal.searches,
			(unsigned long long) journal.refused,
			(unsigned long long) journal.bytes,
			(long long) journal.first_us, (long long) journal.last_us);
}
