/*-------------------------------------------------------------------------
 *
 * harness.c
 *	  Runs the HTTP engine against test/http/server.py; see test/http/run.
 *
 *-------------------------------------------------------------------------
 */
#include <dirent.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdarg.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "harness.h"

Ports		ports;
const char *work_directory;
RfHttpEngine *engine;

static char ca_file[4096];
static int	checks;
static int	failed_checks;

int64_t
clock_us(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t) now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

RfHttpConfig
usual_config(void)
{
	RfHttpConfig config;

	memset(&config, 0, sizeof(config));
	config.max_connections = 400;
	config.connect_timeout_us = 5000000;
	config.total_timeout_us = 10000000;
	config.idle_timeout_us = 5000000;
	config.reuse_max_idle_s = 5;
	config.max_body_bytes = 64 * 1024;
	config.ca_file = ca_file;
	config.allow_private_addresses = "127.0.0.0/8, ::1";
	return config;
}

void
configure(const RfHttpConfig *config)
{
	if (!rf_http_configure(engine, config))
		ok(false, "settings are applied");
}

void
prepare(RfTransfer *transfer, int port, const char *behaviour, const char *key)
{
	char		url[256];

	snprintf(url, sizeof(url), "%s://localhost:%d/%s/%s",
			 port == ports.plain ? "http" : "https", port, behaviour, key);
	prepare_url(transfer, url);
}

void
prepare_url(RfTransfer *transfer, const char *url)
{
	memset(transfer, 0, sizeof(*transfer));
	transfer->request.body = strdup("{\"subject\": \"hello\"}");
	transfer->request.body_len = strlen(transfer->request.body);
	if (!rf_request_set_url(&transfer->request, url) ||
		!rf_request_add_header(&transfer->request, "Content-Type", "application/json"))
		abort();
}

void
make_form(RfTransfer *transfer)
{
	free(transfer->request.body);
	transfer->request.body = NULL;
	transfer->request.body_len = 0;
	free(transfer->request.headers[0]);
	transfer->request.nheaders = 0;
	if (!rf_request_add_field(&transfer->request, "to", "a@example.com", 13) ||
		!rf_request_add_field(&transfer->request, "text", "a\0b\r\nc", 6))
		abort();
}

void
perform(RfTransfer *transfer)
{
	if (rf_http_start(engine, transfer, clock_us()))
		run_until_finished(&transfer, 1);
}

/* As the dispatcher does: wait for the descriptor or the deadline, then turn. */
static void
wait_and_turn(int64_t until_us)
{
	struct pollfd wait = {
		.fd = rf_http_epoll_fd(engine),
		.events = POLLIN
	};
	int64_t		deadline_us = rf_http_next_deadline(engine);
	int64_t		length_us;

	if (until_us < deadline_us)
		deadline_us = until_us;
	length_us = deadline_us - clock_us();
	if (length_us < 0)
		length_us = 0;
	poll(&wait, 1, length_us > 1000000 ? 1000 : (int) ((length_us + 999) / 1000));
	rf_http_turn(engine, clock_us);
}

void
run_until_finished(RfTransfer **transfers, int count)
{
	int64_t		give_up_us = clock_us() + 30000000;
	int			left = count;

	for (;;)
	{
		RfTransfer *finished;

		while ((finished = rf_http_next_finished(engine)) != NULL)
		{
			for (int i = 0; i < count; i++)
				left -= transfers[i] == finished ? 1 : 0;
		}
		if (left <= 0)
			return;
		if (clock_us() > give_up_us)
		{
			ok(false, "all transfers end");
			exit(1);
		}
		wait_and_turn(give_up_us);
	}
}

void
run_for(int64_t duration_us)
{
	int64_t		until_us = clock_us() + duration_us;

	while (clock_us() < until_us)
		wait_and_turn(until_us);
}

void
request(RfTransfer *transfer, int port, const char *behaviour, const char *key)
{
	prepare(transfer, port, behaviour, key);
	perform(transfer);
}

int
seen(const char *key)
{
	struct sockaddr_in address;
	char		line[256];
	int			fd = socket(AF_INET, SOCK_STREAM, 0);
	ssize_t		len;

	memset(&address, 0, sizeof(address));
	address.sin_family = AF_INET;
	address.sin_port = htons((uint16_t) ports.counts);
	address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	snprintf(line, sizeof(line), "%s\n", key);
	if (fd < 0 || connect(fd, (struct sockaddr *) &address, sizeof(address)) != 0 ||
		write(fd, line, strlen(line)) < 0 ||
		(len = read(fd, line, sizeof(line) - 1)) <= 0)
		abort();
	close(fd);
	line[len] = '\0';
	return atoi(line);
}

int
open_descriptors(void)
{
	DIR		   *directory = opendir("/proc/self/fd");
	int			count = 0;

	while (readdir(directory) != NULL)
		count++;
	closedir(directory);
	return count;
}

bool
ok(bool holds, const char *format,...)
{
	va_list		args;

	checks++;
	failed_checks += holds ? 0 : 1;
	printf("%sok %d - ", holds ? "" : "not ", checks);
	va_start(args, format);
	vprintf(format, args);
	va_end(args);
	printf("\n");
	return holds;
}

void
is_int(int64_t got, int64_t expected, const char *what)
{
	if (!ok(got == expected, "%s", what))
		printf("# got %lld, expected %lld\n", (long long) got, (long long) expected);
}

void
is_text(const char *got, const char *expected, const char *what)
{
	if (!ok(got != NULL && strcmp(got, expected) == 0, "%s", what))
		printf("# got \"%s\", expected \"%s\"\n", got != NULL ? got : "(null)", expected);
}

void
skip(const char *why)
{
	printf("ok %d # skip %s\n", ++checks, why);
}

void
is_end(const RfTransfer *transfer, RfTransferEnd end, const char *why,
	   const char *what)
{
	static const char *const names[] = {"answered", "not sent", "ambiguous"};
	bool		holds = transfer->end == end && strcmp(transfer->why, why) == 0;

	if (!ok(holds, "%s", what))
		printf("# %s, status %d, \"%s\"\n", names[transfer->end],
			   transfer->response.status, transfer->why);
}

/* How many processes there are to a processor, from 1 to 6. */
static int
how_busy(void)
{
	double		load;
	long		processors = sysconf(_SC_NPROCESSORS_ONLN);

	if (getloadavg(&load, 1) != 1 || processors < 1 || load < (double) processors)
		return 1;
	return load > 6 * (double) processors ? 6 : (int) (load / (double) processors) + 1;
}

/* Never too early; on a busy machine it may be later. */
void
took(const RfTransfer *transfer, int64_t expected_ms, const char *what)
{
	int64_t		ms = (transfer->finished_us - transfer->started_us) / 1000;

	if (!ok(ms >= expected_ms - 100 && ms <= expected_ms + 100 * how_busy(), "%s", what))
		printf("# %d ms, expected %d\n", (int) ms, (int) expected_ms);
}

static void
read_ports(void)
{
	char		path[4096];
	char		name[32];
	int			port;
	FILE	   *file;

	snprintf(path, sizeof(path), "%s/ports", work_directory);
	file = fopen(path, "r");
	if (file == NULL)
	{
		printf("Bail out! the server did not start\n");
		exit(1);
	}
	while (fscanf(file, "%31s %d", name, &port) == 2)
	{
		const struct
		{
			const char *name;
			int		   *port;
		}			known[] = {
			{"server", &ports.server},
			{"expired", &ports.expired},
			{"wronghost", &ports.wronghost},
			{"selfsigned", &ports.selfsigned},
			{"plain", &ports.plain},
			{"tarpit", &ports.tarpit},
			{"proxy", &ports.proxy},
			{"counts", &ports.counts}
		};

		for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++)
		{
			if (strcmp(known[i].name, name) == 0)
				*known[i].port = port;
		}
	}
	fclose(file);
}

int
main(int argc, char **argv)
{
	RfHttpConfig config;
	const char *why;

	if (argc != 2)
		return 2;
	setvbuf(stdout, NULL, _IOLBF, 0);
	work_directory = argv[1];
	snprintf(ca_file, sizeof(ca_file), "%s/ca.pem", work_directory);
	read_ports();

	/* Whatever the environment says must not matter. */
	setenv("http_proxy", "http://127.0.0.1:1", 1);
	setenv("https_proxy", "http://127.0.0.1:1", 1);
	setenv("ALL_PROXY", "http://127.0.0.1:1", 1);

	config = usual_config();
	engine = rf_http_engine_create(&config, &why);
	if (!ok(engine != NULL, "the engine is created"))
		return 1;
	test_hosts();
	test_answers();
	test_failures();
	test_process();
	ok(rf_http_in_flight(engine) == 0, "nothing is left in flight");
	printf("1..%d\n", checks);
	return failed_checks > 0 ? 1 : 0;
}
