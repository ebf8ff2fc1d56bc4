/*-------------------------------------------------------------------------
 *
 * load.c
 *	  Asks the bench's provider for as much as it can give.
 *
 * load PORT CONNECTIONS REQUESTS
 *
 * Sends the same mail of 2 KB over that many kept-alive connections, one
 * request at a time on each, and prints requests a second.  One thread and one
 * epoll descriptor, like the provider, so that each has a core.
 *
 *-------------------------------------------------------------------------
 */
#include <errno.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "provider.h"

#define MAX_CONNECTIONS 1000

static char mail[8192];
static size_t mail_length;
static size_t body_length;		/* of the mail, without its number */

static void write_mail(uint64_t number);
static void send_mail(int fd);

int
main(int argc, char **argv)
{
	struct epoll_event events[256];
	uint64_t	total = argc == 4 ? strtoull(argv[3], NULL, 10) : 0;
	uint64_t	sent = 0;
	uint64_t	answered = 0;
	int			connections = argc == 4 ? atoi(argv[2]) : 0;
	int			epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	int64_t		started_us;

	if (total == 0 || connections < 1 || connections > MAX_CONNECTIONS)
		die("usage: load PORT CONNECTIONS REQUESTS");
	started_us = clock_us();
	for (int i = 0; i < connections; i++)
	{
		struct epoll_event event = {0};

		event.events = EPOLLIN;
		event.data.fd = connect_to_loopback(atoi(argv[1]));
		if (epoll_ctl(epoll_fd, EPOLL_CTL_ADD, event.data.fd, &event) != 0)
			die("epoll_ctl");
		write_mail(++sent);
		send_mail(event.data.fd);
	}
	while (answered < total)
	{
		int			count = epoll_wait(epoll_fd, events, 256, -1);

		for (int i = 0; i < count; i++)
		{
			char		answer[1024];

			if (recv(events[i].data.fd, answer, sizeof(answer), 0) <= 0)
				die("recv");
			answered++;
			if (sent >= total)
				continue;
			write_mail(++sent);
			send_mail(events[i].data.fd);
		}
	}
	printf("%.0f\n", (double) total * 1e6 / (double) (clock_us() - started_us));
	return 0;
}

/* Only the digits change, so that making a mail costs nothing. */
static void
write_mail(uint64_t number)
{
	static char *digits = NULL;

	if (digits == NULL)
	{
		static char body[4096];
		static char text[1700];

		memset(text, 'x', sizeof(text) - 1);
		snprintf(body, sizeof(body),
				 "{\"from\":{\"email\":\"team@mg.example.com\"},"
				 "\"personalizations\":[{\"to\":[{\"email\":\"ada@example.net\"}],"
				 "\"custom_args\":{\"rf_job\":\"000000000\"}}],\"subject\":\"Hello\","
				 "\"content\":[{\"type\":\"text/html\",\"value\":\"<p>%s</p>\"}]}", text);
		body_length = strlen(body);
		snprintf(mail, sizeof(mail),
				 "POST /v3/mail/send HTTP/1.1\r\nHost: 127.0.0.1\r\n"
				 "Authorization: Bearer SG.test-key\r\nContent-Type: application/json\r\n"
				 "Content-Length: %zu\r\n\r\n%s", body_length, body);
		mail_length = strlen(mail);
		digits = strstr(mail, "000000000");
	}
	for (int i = 8; i >= 0; i--, number /= 10)
		digits[i] = (char) ('0' + number % 10);
}

static void
send_mail(int fd)
{
	if (send(fd, mail, mail_length, 0) != (ssize_t) mail_length)
		die("send");
}
