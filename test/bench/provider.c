/*-------------------------------------------------------------------------
 *
 * provider.c
 *	  A provider that costs next to nothing: SendGrid's mail/send, for
 *	  script/bench.
 *
 * provider DIRECTORY DELAY...
 *
 * Opens one port on 127.0.0.1 for each DELAY (milliseconds between a request
 * and its answer) and a control port, and writes them to DIRECTORY/ports, a
 * line each: "0 40123", "50 40124", "control 40125".  Plain HTTP/1.1 with
 * kept-alive connections; a request is answered with 202 and an X-Message-Id,
 * like SendGrid.  A people search (Apollo) finds one.  One thread, one epoll
 * descriptor.
 *
 * Every mail says which it is in the custom argument "rf_job"; the digits after
 * its last dot are the number of the mail.  For each number the time of the
 * request's first byte is kept, and how often it came.  Time is CLOCK_REALTIME
 * in microseconds, which others on this machine can compare with their own.
 *
 * The control port is described in control.c.  The program ends on SIGTERM.
 *
 *-------------------------------------------------------------------------
 */
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "provider.h"

#define MAX_PORTS 8
#define EVENTS_A_TURN 512

typedef enum SourceKind
{
	SOURCE_PORT,
	SOURCE_CONTROL_PORT,
	SOURCE_CONTROL,
	SOURCE_CONNECTION,
	SOURCE_TIMER
} SourceKind;

/*
 * A connection at a port with a delay stands in that port's queue from its
 * request to its answer.  As the delay is the same for all, the queue is in
 * the order of time.
 */
typedef struct Connection
{
	SourceKind	kind;
	int			fd;
	RequestKind kind_asked;		/* of the request that is to be answered */
	bool		waits;			/* stands in its port's queue */
	bool		gone;			/* closed by the peer while it stood there */
	struct Port *port;
	struct Connection *next_waiting;
	int64_t		due_us;
	int64_t		first_byte_us;	/* of the request in the buffer; 0: none */
	size_t		used;
	char		buffer[16384];
} Connection;

typedef struct Port
{
	SourceKind	kind;
	int			fd;
	int64_t		delay_us;
	Connection *first_waiting;
	Connection *last_waiting;
} Port;

static int	epoll_fd;
static int64_t now_us;			/* when this turn's events were reported */
static Port ports[MAX_PORTS];
static int	port_count;
static SourceKind control_port = SOURCE_CONTROL_PORT;
static SourceKind timer = SOURCE_TIMER;
static int	control_fd;
static int	timer_fd;

static void watch(int fd, void *source);
static void open_ports(const char *directory, int count, char **delays);
static void take_event(SourceKind *kind);
static void accept_connections(Port *port);
static void read_connection(Connection *connection);
static void take_requests(Connection *connection);
static void answer(Connection *connection);
static void enqueue(Connection *connection);
static void answer_due(void);
static void set_timer(void);
static void drop(Connection *connection);

int
main(int argc, char **argv)
{
	struct epoll_event events[EVENTS_A_TURN];

	if (argc < 3 || argc - 2 > MAX_PORTS)
		die("usage: provider DIRECTORY DELAY...");
	signal(SIGPIPE, SIG_IGN);
	journal_reset();
	epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	timer_fd = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
	watch(timer_fd, &timer);
	open_ports(argv[1], argc - 2, argv + 2);

	for (;;)
	{
		int			count = epoll_wait(epoll_fd, events, EVENTS_A_TURN, -1);

		if (count < 0 && errno != EINTR)
			die("epoll_wait");
		now_us = clock_us();
		for (int i = 0; i < count; i++)
			take_event(events[i].data.ptr);
		control_answer_waits();
	}
}

static void
watch(int fd, void *source)
{
	struct epoll_event event = {0};

	event.events = EPOLLIN;
	event.data.ptr = source;
	if (fd < 0 || epoll_ctl(epoll_fd, EPOLL_CTL_ADD, fd, &event) != 0)
		die("epoll_ctl");
}

static void
open_ports(const char *directory, int count, char **delays)
{
	char		name[4096];
	FILE	   *file;

	snprintf(name, sizeof(name), "%s/ports.new", directory);
	file = fopen(name, "w");
	if (file == NULL)
		die(name);
	for (int i = 0; i < count; i++)
	{
		Port	   *port = &ports[port_count++];

		port->kind = SOURCE_PORT;
		port->delay_us = atoll(delays[i]) * 1000;
		port->fd = listen_on_loopback();
		watch(port->fd, port);
		fprintf(file, "%s %d\n", delays[i], port_of(port->fd));
	}
	control_fd = listen_on_loopback();
	watch(control_fd, &control_port);
	fprintf(file, "control %d\n", port_of(control_fd));
	fclose(file);

	/* Whoever sees the file sees all of it. */
	{
		char		final[4096];

		snprintf(final, sizeof(final), "%s/ports", directory);
		if (rename(name, final) != 0)
			die(final);
	}
}

static void
take_event(SourceKind *kind)
{
	switch (*kind)
	{
		case SOURCE_PORT:
			accept_connections((Port *) kind);
			break;
		case SOURCE_CONTROL_PORT:
			control_accept(control_fd);
			break;
		case SOURCE_CONNECTION:
			read_connection((Connection *) kind);
			break;
		case SOURCE_TIMER:
			answer_due();
			break;
		case SOURCE_CONTROL:
			break;
	}
}

static void
accept_connections(Port *port)
{
	int			fd;

	while ((fd = accept_quickly(port->fd)) >= 0)
	{
		Connection *connection = malloc(sizeof(Connection));

		if (connection == NULL)
			die("out of memory");
		memset(connection, 0, offsetof(Connection, buffer));
		connection->kind = SOURCE_CONNECTION;
		connection->fd = fd;
		connection->port = port;
		watch(fd, connection);
	}
}

/*
 * A whole mail usually comes with one read, and a peer that keeps its
 * connections does not send the next one before it has its answer.  So one read
 * is enough, and epoll reports what it left.
 */
static void
read_connection(Connection *connection)
{
	ssize_t		got = recv(connection->fd, connection->buffer + connection->used,
						   sizeof(connection->buffer) - connection->used, 0);

	if (got < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (got <= 0)
	{
		drop(connection);
		return;
	}
	if (connection->used == 0)
		connection->first_byte_us = now_us;
	connection->used += (size_t) got;
	take_requests(connection);
}

static void
take_requests(Connection *connection)
{
	while (connection->used > 0 && !connection->waits)
	{
		size_t		length = request_length(connection->buffer, connection->used);

		if (length == 0 && connection->used == sizeof(connection->buffer))
		{
			journal_refuse();
			drop(connection);
			return;
		}
		if (length == 0)
			return;

		connection->kind_asked = request_kind(connection->buffer);
		journal_take(connection->buffer, length, connection->first_byte_us);
		connection->used -= length;
		memmove(connection->buffer, connection->buffer + length, connection->used);
		connection->first_byte_us = now_us;
		if (connection->port->delay_us > 0)
			enqueue(connection);
		else
			answer(connection);
	}
}

/* A few hundred bytes go into any socket's buffer at once. */
static void
answer(Connection *connection)
{
	const char *text;
	size_t		length = answer_text(connection->kind_asked, &text);

	if (send(connection->fd, text, length, 0) != (ssize_t) length)
		journal_refuse();
}

static void
enqueue(Connection *connection)
{
	Port	   *port = connection->port;
	bool		was_empty = port->first_waiting == NULL;

	connection->waits = true;
	connection->next_waiting = NULL;
	connection->due_us = now_us + port->delay_us;
	if (was_empty)
		port->first_waiting = connection;
	else
		port->last_waiting->next_waiting = connection;
	port->last_waiting = connection;
	if (was_empty)
		set_timer();
}

static void
answer_due(void)
{
	uint64_t	expirations;

	if (read(timer_fd, &expirations, sizeof(expirations)) < 0 && errno != EAGAIN)
		die("timerfd");
	now_us = clock_us();
	for (int i = 0; i < port_count; i++)
	{
		Port	   *port = &ports[i];

		while (port->first_waiting != NULL && port->first_waiting->due_us <= now_us)
		{
			Connection *connection = port->first_waiting;

			port->first_waiting = connection->next_waiting;
			connection->waits = false;
			if (connection->gone)
			{
				drop(connection);
				continue;
			}
			answer(connection);
			take_requests(connection);
		}
	}
	set_timer();
}

/* To the next answer, but at most a fifth of a millisecond apart: fewer turns. */
static void
set_timer(void)
{
	struct itimerspec when = {{0, 0}, {0, 0}};
	int64_t		wait_us = 0;

	for (int i = 0; i < port_count; i++)
	{
		int64_t		left_us;

		if (ports[i].first_waiting == NULL)
			continue;
		left_us = ports[i].first_waiting->due_us - now_us;
		if (left_us < 200)
			left_us = 200;
		if (wait_us == 0 || left_us < wait_us)
			wait_us = left_us;
	}
	when.it_value.tv_sec = wait_us / 1000000;
	when.it_value.tv_nsec = wait_us % 1000000 * 1000;
	timerfd_settime(timer_fd, 0, &when, NULL);
}

/* One that still stands in a queue is freed when its turn comes. */
static void
drop(Connection *connection)
{
	if (!connection->gone)
	{
		epoll_ctl(epoll_fd, EPOLL_CTL_DEL, connection->fd, NULL);
		close(connection->fd);
		connection->gone = true;
	}
	if (!connection->waits)
		free(connection);
}
