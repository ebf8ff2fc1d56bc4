/*-------------------------------------------------------------------------
 *
 * client.c
 *	  Enqueues mails at a rate, and says when each was committed.
 *
 * client CONNINFO RATE COUNT SQL
 *
 * SQL returns the mail's number and takes one parameter, which counts from 1.
 * Prints number and time for each mail at the end: the moment at which the
 * server's answer to the commit was here, CLOCK_REALTIME in microseconds.
 *
 *-------------------------------------------------------------------------
 */
#include <libpq-fe.h>
#include <string.h>
#include <unistd.h>

#include "provider.h"

#define MAX_COUNT 1000000

typedef struct Commit
{
	uint64_t	number;
	int64_t		at_us;
} Commit;

static Commit enqueue(PGconn * connection, long count);
static void complain(PGconn * connection) __attribute__((noreturn));

int
main(int argc, char **argv)
{
	double		rate = argc == 5 ? atof(argv[2]) : 0;
	long		count = argc == 5 ? atol(argv[3]) : 0;
	Commit	   *commits;
	PGconn	   *connection;
	int64_t		started_us;

	if (rate <= 0 || count < 1 || count > MAX_COUNT)
		die("usage: client CONNINFO RATE COUNT SQL");
	connection = PQconnectdb(argv[1]);
	if (PQstatus(connection) != CONNECTION_OK)
		complain(connection);
	if (PQresultStatus(PQprepare(connection, "mail", argv[4], 1, NULL)) != PGRES_COMMAND_OK)
		complain(connection);
	commits = calloc((size_t) count, sizeof(Commit));
	if (commits == NULL)
		die("out of memory");

	started_us = clock_us();
	for (long i = 0; i < count; i++)
	{
		int64_t		wait_us = started_us + (int64_t) ((double) (i + 1) * 1e6 / rate) - clock_us();

		if (wait_us > 0)
			usleep((useconds_t) wait_us);
		commits[i] = enqueue(connection, i + 1);
	}
	for (long i = 0; i < count; i++)
		printf("%llu %lld\n", (unsigned long long) commits[i].number,
			   (long long) commits[i].at_us);
	return 0;
}

static Commit
enqueue(PGconn * connection, long count)
{
	char		text[32];
	const char *values[1] = {text};
	PGresult   *result;
	Commit		commit;

	snprintf(text, sizeof(text), "%ld", count);
	result = PQexecPrepared(connection, "mail", 1, values, NULL, NULL, 0);
	commit.at_us = clock_us();
	if (PQresultStatus(result) != PGRES_TUPLES_OK || PQntuples(result) != 1)
		complain(connection);
	commit.number = strtoull(PQgetvalue(result, 0, 0), NULL, 10);
	PQclear(result);
	return commit;
}

static void
complain(PGconn * connection)
{
	fprintf(stderr, "client: %s", PQerrorMessage(connection));
	exit(1);
}
